// Elements from a tag, attributes and children. Text is always text, never markup.
const svgNames = 'http://www.w3.org/2000/svg';

function make(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'dataset') Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  append(node, children);
  return node;
}
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
  return node;
}
export const h = (tag, attributes, ...children) =>
  make(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) =>
  make(document.createElementNS(svgNames, tag), attributes, children);

export function fill(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

// A <select> with its label. Options: [value, text] or text.
let counter = 0;
export function select(label, options, value, onchange, attributes) {
  const id = `s${++counter}`;
  const node = h(
    'select',
    { id, onchange: () => onchange(node.value), ...attributes },
    options.map((o) => {
      const [v, text] = Array.isArray(o) ? o : [o, o];
      return h('option', { value: v, selected: String(v) === String(value) }, text);
    }),
  );
  return h('div', { class: 'field' }, h('label', { for: id }, label), node);
}
// One of a few: radio buttons drawn as one bar.
export function choice(label, options, value, onchange) {
  const name = `c${++counter}`;
  return h(
    'fieldset',
    { class: 'choice' },
    h('legend', {}, label),
    options.map(([v, text]) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name,
          value: v,
          checked: v === value,
          onchange: (e) => e.target.checked && onchange(v),
        }),
        h('span', {}, text),
      ),
    ),
  );
}
export function section(id, title, lead, ...children) {
  return h(
    'section',
    { id, 'aria-labelledby': `${id}-title` },
    h('h2', { id: `${id}-title` }, title),
    lead ? h('p', { class: 'lead' }, lead) : null,
    children,
  );
}
// The figures behind a plot.
export const figures = (summary, table) =>
  h('details', { class: 'figures' }, h('summary', {}, summary), scroller(summary, table));
// What may be wider than the screen scrolls by itself, also by keyboard.
export const scroller = (label, ...children) =>
  h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' }, children);

export function table(caption, head, rows, attributes) {
  return h(
    'table',
    attributes,
    h('caption', { class: 'sr' }, caption),
    h('thead', {}, h('tr', {}, head.map((c) => h('th', { scope: 'col' }, c)))),
    h(
      'tbody',
      {},
      rows.map((row) =>
        h('tr', {}, row.map((c, i) => (i === 0 ? h('th', { scope: 'row' }, c) : h('td', {}, c)))),
      ),
    ),
  );
}
export const sr = (text) => h('span', { class: 'sr' }, text);

// Arrow keys among items of which one takes part in the tab order.
export function rove(container, items, move) {
  if (items.length === 0) return;
  for (const item of items) item.tabIndex = -1;
  items[0].tabIndex = 0;
  container.addEventListener('focusin', (e) => {
    const item = e.target.closest('[tabindex]');
    if (!items.includes(item)) return;
    for (const other of items) if (other.tabIndex === 0) other.tabIndex = -1;
    item.tabIndex = 0;
  });
  container.addEventListener('keydown', (e) => {
    const at = items.indexOf(e.target);
    if (at < 0) return;
    const next = move(e.key, at);
    if (next === undefined || !items[next]) return;
    e.preventDefault();
    items[next].focus();
  });
}
