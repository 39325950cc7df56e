/*
Copyright (c) 2026, linux_memory.oom contributors
GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
*/
'use strict';
// The page is complete without this script: it adds the filter, opens the host that a link names, and prints all of it.
(function () {
  const form = document.querySelector('form.filter');
  const rows = Array.from(document.querySelectorAll('table.fleet tbody tr'));
  const sections = new Map(Array.from(document.querySelectorAll('details.host'), (one) => [one.dataset.host, one]));

  function filter() {
    const words = document.getElementById('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const boxes = Array.from(form.querySelectorAll('input[name=level]'));
    const levels = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    for (const row of rows) {
      const text = (row.children[0].textContent + ' ' + row.children[1].textContent).toLowerCase();
      const fits = (!boxes.length || levels.has(row.dataset.level)) && words.every((word) => text.includes(word));
      row.hidden = !fits;
      sections.get(row.dataset.host).hidden = !fits;
      shown += fits;
    }
    document.getElementById('shown').value = shown === rows.length ? '' : shown + ' of ' + rows.length + ' shown';
  }

  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const section = target && target.closest('details.host');
    if (section) {
      section.open = true;
      section.scrollIntoView();
    }
  }

  if (form) {
    form.hidden = false;
    form.addEventListener('input', filter);
    form.addEventListener('submit', (event) => event.preventDefault());
    filter();
  }
  addEventListener('hashchange', reveal);
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
  reveal();
})();
