// The table of variants: sortable, filterable; one of them is chosen for the plots below.
import { append, fill, h, s, scroller, section, select, sr } from './dom.js';
import { nearer, standing } from './data.js';
import { bytes, count, interval, intervalParts, known, num, percent, percentChange, plural, pm, si, signed } from './numbers.js';
import { axisBottom, drawAxis, logAxis, logScale } from './plot.js';
import { onVariant, setVariant, state } from './state.js';

const width = 176;
const forest = { left: 12, right: 8 };

// KL with its interval on the log scale all rows share, and the noise floor behind.
function forestCell(x, v, noise) {
  const m = v.kld.mean;
  if (!known(m)) return null;
  const u = 2 * (v.kld.uncertainty ?? 0);
  const [least] = x.domain();
  const at = (k) => x(Math.max(k, least));
  return s(
    'svg',
    { width, height: 20, viewBox: `0 0 ${width} 20`, class: 'forest', 'aria-hidden': 'true' },
    known(noise) && noise > least && s('rect', { x: x(least), width: Math.max(0, at(noise) - x(least)), y: 0, height: 20, class: 'noiseband' }),
    s('line', { x1: x(least), x2: width - forest.right, y1: 10, y2: 10, class: 'rail' }),
    m > 0 && u > 0 && s('line', { x1: at(m - u), x2: at(m + u), y1: 10, y2: 10, class: 'span' }),
    m > 0
      ? s('circle', { cx: at(m), cy: 10, r: 4, class: 'dot' })
      : s('circle', { cx: x(least), cy: 10, r: 3.5, class: 'dot hollow' }),
  );
}

function tags(part, v) {
  const out = [];
  const tag = (kind, text) => out.push(h('span', { class: `tag ${kind}` }, text));
  if (v.vacuous) tag('vacuous', v.foretold ? 'VACUOUS, foretold' : 'VACUOUS');
  if (v.same_as && !(v.vacuous && v.same_as === 'baseline')) tag('same', `= ${v.same_as}`);
  const how = standing(part, v);
  if (how === 'within') tag('noise', 'within noise');
  if (how === 'unclear') tag('noise', 'not told from noise');
  return out;
}

function columnsOf(part, x) {
  const { model, whole } = part;
  const has = (f) => whole.some((v) => known(f(v)));
  const noise = model.noise?.kld?.mean;
  const columns = [
    { id: 'name', title: 'variant', text: true, sort: (v) => v.name },
    {
      id: 'kld',
      title: 'KL to baseline',
      unit: 'nats a token; bar: ± 2 standard errors',
      sort: (v) => v.kld.mean,
      plot: true,
      cell: (v) => [forestCell(x, v, noise), h('span', { class: 'fig' }, v.kld.mean === 0 ? '0' : known(v.kld.mean) ? pm(v.kld.mean, v.kld.uncertainty) : 'not a number')],
    },
    {
      id: 'ppl',
      title: 'perplexity',
      unit: 'change [95 % interval]',
      sort: (v) => v.ln_ppl_ratio.value,
      cell: (v) => withRange(percentChange(v.ln_ppl_ratio)),
    },
    { id: 'top', title: 'same top', unit: 'likeliest token', sort: (v) => v.same_top_p, cell: (v) => percent(v.same_top_p) },
    { id: 'mae', title: 'mean |Δ|', unit: 'of logits', sort: (v) => v.logits.mae, cell: (v) => num(v.logits.mae) },
  ];
  if (has((v) => v.mae_truth?.value))
    columns.push({
      id: 'truth',
      title: 'to truth',
      unit: `mean |Δ|, KL; baseline ${num(model.baseline.mae_truth?.value, 2)}`,
      sort: (v) => v.mae_truth?.value,
      cell: (v) => {
        const where = nearer(part, v);
        const mark = { nearer: '▼', farther: '▲', same: '=' }[where];
        return [
          num(v.mae_truth?.value),
          ' ',
          where && h('span', { class: `near ${where}`, title: `${where} than the baseline` }, h('span', { 'aria-hidden': 'true' }, mark), sr(where)),
          h('span', { class: 'sub' }, `KL ${num(v.kld_truth?.value, 2)}`),
        ];
      },
    });
  if (has((v) => v.accuracy?.value))
    columns.push({ id: 'accuracy', title: 'accuracy', unit: 'next token; change, p', sort: (v) => v.accuracy?.value, cell: (v) => share(v.accuracy) });
  if (has((v) => v.last_word?.value))
    columns.push({ id: 'lastword', title: 'last word', unit: 'right; change, p', sort: (v) => v.last_word?.value, cell: (v) => share(v.last_word) });
  if (has((v) => v.free_running?.match_rate))
    columns.push({ id: 'free', title: 'free match', unit: 'tokens, running freely', sort: (v) => v.free_running?.match_rate, cell: (v) => percent(v.free_running?.match_rate, 1) });
  if (has((v) => v.overhead))
    columns.push({ id: 'overhead', title: 'time', unit: 'against the baseline', sort: (v) => v.overhead, cell: (v) => (known(v.overhead) ? interval({ value: 100 * v.overhead }, '\u00a0%') : '–') });
  for (const [id, title, unit, of, text] of [
    ['bytes', 'bytes', 'moved a token', (v) => v.cost?.bytes, bytes],
    ['imacs', 'integer MACs', 'a token', (v) => v.cost?.integer_macs, si],
    ['fmacs', 'float MACs', 'a token', (v) => v.cost?.float_macs, si],
    ['seconds', 'seconds', 'alone', (v) => v.cost?.seconds, num],
  ])
    if (has(of)) columns.push({ id, title, unit, sort: of, cell: (v) => text(of(v)) });
  columns.push({
    id: 'changed',
    title: 'changed',
    unit: 'of the elements rounded',
    sort: (v) => changedShare(v),
    cell: (v) => percent(changedShare(v), 1),
  });
  return columns;
}
const withRange = (i) => {
  const [value, range] = intervalParts(i);
  return [`${value}\u00a0%`, h('span', { class: 'sub' }, range)];
};
const share = (a) => (known(a?.value) ? [percent(a.value), h('span', { class: 'sub' }, known(a.difference) ? `${signed(100 * a.difference, 2)} %, p ${num(a.p_value, 2)}` : '')] : '–');
function changedShare(v) {
  const seen = (v.rules ?? []).reduce((n, r) => n + r.elements, 0);
  return seen > 0 ? v.rules.reduce((n, r) => n + r.changed, 0) / seen : undefined;
}

// The measures of one text in the place of those of all.
const ofText = (v, t) => (t < 0 ? v : { ...v, ...v.texts[t], name: v.name });

export function variants(part) {
  const view = { sort: null, down: true, filter: '', text: -1, show: 'all' };
  const { model, whole, study } = part;
  let x;
  let columns;
  const body = h('tbody', {});
  const headRow = h('tr', {});
  const status = h('p', { class: 'status', role: 'status', 'aria-live': 'polite' });

  function rows() {
    const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
    let out = whole.map((v) => ofText(v, view.text));
    out = out.filter((v) => {
      const text = `${v.name} ${(v.rules ?? []).map((r) => r.rule).join(' ')}`.toLowerCase();
      if (!words.every((w) => text.includes(w))) return false;
      const how = standing(part, v);
      if (view.show === 'beyond') return how === 'beyond' || how === 'changed';
      if (view.show === 'noise') return how === 'within' || how === 'unclear';
      if (view.show === 'vacuous') return how === 'vacuous' || v.same_as;
      if (view.show === 'nearer') return nearer(part, v) === 'nearer';
      return true;
    });
    const column = columns.find((c) => c.id === view.sort);
    if (!column) return out;
    const key = (v) => column.sort(v);
    return out.sort((a, b) => {
      const [p, q] = [key(a), key(b)];
      if (column.text) return (view.down ? 1 : -1) * String(p).localeCompare(String(q), 'en', { numeric: true });
      if (!known(p) || !known(q)) return known(q) - known(p);
      return view.down ? q - p : p - q;
    });
  }

  function drawHead() {
    fill(
      headRow,
      columns.map((c) => {
        const sorted = view.sort === c.id;
        const direction = sorted ? ((c.text ? view.down : !view.down) ? 'ascending' : 'descending') : 'none';
        return h(
          'th',
          { scope: 'col', 'aria-sort': direction, class: `${c.text ? 'text' : 'number'} ${c.plot ? 'plotted' : ''}` },
          h(
            'button',
            {
              type: 'button',
              class: 'sort',
              'data-column': c.id,
              onclick: () => {
                view.down = sorted ? !view.down : true;
                view.sort = c.id;
                drawHead();
                drawRows();
                headRow.querySelector(`[data-column="${c.id}"]`).focus();
              },
            },
            c.title,
            h('span', { class: 'arrow', 'aria-hidden': 'true' }, sorted ? (direction === 'ascending' ? ' ↑' : ' ↓') : ' ↕'),
          ),
          c.unit ? h('span', { class: 'unit' }, c.unit) : null,
          c.plot
            ? s('svg', { width, height: 22, viewBox: `0 0 ${width} 22`, class: 'forest', 'aria-hidden': 'true' }, drawAxis(logAxis(axisBottom, x, 5).tickSize(3), 'translate(0,1)'))
            : null,
        );
      }),
    );
  }

  function drawRows() {
    const shown = rows();
    fill(
      body,
      shown.map((v) => {
        const chosen = v.name === state.variant;
        return h(
          'tr',
          { class: chosen ? 'chosen' : null, 'data-name': v.name, onclick: (e) => !e.target.closest('a,button,summary') && setVariant(v.name) },
          columns.map((c) =>
            c.id === 'name'
              ? h(
                  'th',
                  { scope: 'row' },
                  h('button', { type: 'button', class: 'pick', 'aria-pressed': String(chosen), onclick: () => setVariant(v.name) }, v.name),
                  h('span', { class: 'rules' }, (v.rules ?? []).map((r) => h('code', {}, r.rule))),
                  tags(part, v),
                )
              : h('td', { class: c.plot ? 'plotted' : null }, c.cell(v)),
          ),
        );
      }),
      shown.length === 0 ? h('tr', {}, h('td', { colspan: columns.length, class: 'empty' }, 'No variant is like that.')) : null,
    );
    status.textContent =
      shown.length === whole.length ? plural(whole.length, 'variant') : `${count(shown.length)} of ${plural(whole.length, 'variant')}`;
  }

  function draw() {
    const measured = whole.map((v) => ofText(v, view.text));
    x = logScale(measured.map((v) => v.kld.mean).concat(model.noise?.kld?.mean ?? []), [forest.left, width - forest.right]);
    columns = columnsOf(part, x);
    drawHead();
    drawRows();
  }
  draw();
  onVariant(drawRows);

  const shows = [['all', 'all variants'], ['beyond', model.noise ? 'beyond noise' : 'with an effect'], ['vacuous', 'vacuous or identical']];
  if (model.noise) shows.splice(2, 0, ['noise', 'within noise']);
  if (model.baseline.mae_truth) shows.push(['nearer', 'nearer to truth']);
  const filter = h('input', {
    id: 'filter',
    type: 'search',
    placeholder: 'name or rule',
    autocomplete: 'off',
    oninput: (e) => {
      view.filter = e.target.value;
      drawRows();
    },
  });
  return section(
    'variants',
    'Variants',
    `Each is measured on the same tokens as the baseline. ${model.noise ? 'The shaded band is the noise floor: how far apart equally good float32 runs lie. ' : ''}Choose one to see it in the plots below.`,
    h(
      'div',
      { class: 'controls' },
      h('div', { class: 'field' }, h('label', { for: 'filter' }, 'Filter'), filter),
      select('Show', shows, view.show, (v) => { view.show = v; drawRows(); }),
      study.texts.length > 1
        ? select('Text', [[-1, 'all texts'], ...study.texts.map((t, i) => [i, t.name])], -1, (t) => { view.text = Number(t); draw(); })
        : null,
      status,
    ),
    scroller(
      'Variants',
      append(h('table', { class: 'variants' }, h('caption', { class: 'sr' }, 'Variants and their measures; the buttons of the head sort')), [h('thead', {}, headRow), body]),
    ),
  );
}
