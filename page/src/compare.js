// Models of a study, or studies, side by side: one row a variant, a mark for each.
import { choice, fill, h, s, section, table, figures } from './dom.js';
import { badge } from './head.js';
import { known, pm } from './numbers.js';
import { axisBottom, drawAxis, figureSvg, linear, logAxis, logScale, series, text } from './plot.js';

const kinds = {
  kld: ['KL to the baseline, nats a token', (v) => [v.kld?.mean, v.kld?.uncertainty], true],
  ppl: ['change of perplexity, %', (v) => [100 * Math.expm1(v.ln_ppl_ratio?.value), 100 * v.ln_ppl_ratio?.uncertainty], false],
  top: ['the same likeliest token, %', (v) => [100 * v.same_top_p, 100 * v.same_top_p_uncertainty], false],
  truth: ['mean |Δ logit| to the truth', (v) => [v.mae_truth?.value, v.mae_truth?.uncertainty], true],
};
const shapes = [
  (x, y) => s('circle', { cx: x, cy: y, r: 4.5 }),
  (x, y) => s('rect', { x: x - 4, y: y - 4, width: 8, height: 8 }),
  (x, y) => s('path', { d: `M${x},${y - 5.5}L${x + 5},${y + 4}H${x - 5}Z` }),
  (x, y) => s('path', { d: `M${x},${y - 5.5}L${x + 5.5},${y}L${x},${y + 5.5}L${x - 5.5},${y}Z` }),
];

export function compare(studies, parts) {
  if (parts.length < 2) return null;
  const names = [];
  for (const p of parts) for (const v of p.whole) if (!names.includes(v.name)) names.push(v.name);
  const in2 = names.filter((n) => parts.filter((p) => p.whole.some((v) => v.name === n)).length > 1);
  const shown = (in2.length ? in2 : names).slice(0, 60);
  const view = { kind: 'kld' };
  const plot = h('div', {});
  const behind = h('div', {});
  const available = Object.keys(kinds).filter((k) => parts.some((p) => p.whole.some((v) => known(kinds[k][1](v)[0]))));

  function draw() {
    const [title, of, isLog] = kinds[view.kind];
    const value = (p, name) => {
      const v = p.whole.find((w) => w.name === name);
      return v ? of(v) : [undefined];
    };
    const all = shown.flatMap((n) => parts.map((p) => value(p, n)[0])).filter(known);
    const width = Math.max(620, Math.min(1140, (document.getElementById('main').clientWidth || 1140) - 40));
    const m = { left: 240, right: 20, top: 34, bottom: 30 };
    const row = Math.max(22, 10 + 7 * parts.length);
    const height = m.top + row * shown.length + m.bottom;
    const range = [m.left, width - m.right];
    const x = isLog ? logScale(all, range) : linear().domain([Math.min(0, ...all), Math.max(0, ...all)]).nice().range(range);
    const least = x.domain()[0];
    const at = (v) => x(isLog ? Math.max(v, least) : v);
    const y = (i, k) => m.top + row * i + row / 2 + (k - (parts.length - 1) / 2) * Math.min(8, (row - 8) / parts.length);
    fill(
      plot,
      h('div', { class: 'scroll', role: 'region', 'aria-label': 'Side by side', tabindex: '0' },
        figureSvg(
          width, height, `${title} by variant, for ${parts.map((p) => p.label).join(', ')}; the figures are in the table below`,
          s('g', { class: 'inkey' }, parts.map((p, k) => [s('g', { fill: series(k) }, shapes[k % 4](m.left + 8 + k * 190, 10)), text(m.left + 18 + k * 190, 14, clip(p.label, 26))])),
          shown.map((n, i) => [
            s('line', { x1: m.left, x2: width - m.right, y1: m.top + row * (i + 0.5), y2: m.top + row * (i + 0.5), class: 'rail' }),
            text(m.left - 10, m.top + row * (i + 0.5) + 4, clip(n, 34), { class: 'rowlabel', 'text-anchor': 'end' }),
            parts.map((p, k) => {
              const [v, u] = value(p, n);
              if (!known(v)) return null;
              const none = isLog && v <= 0;
              return s('g', { fill: none ? 'none' : series(k), stroke: series(k), class: 'mark' }, s('title', {}, `${p.label}: ${pm(v, u)}`), u > 0 && s('line', { x1: at(v - 2 * u), x2: at(v + 2 * u), y1: y(i, k), y2: y(i, k), 'stroke-width': 2 }), shapes[k % 4](at(v), y(i, k)));
            }),
          ]),
          !isLog && s('line', { x1: x(0), x2: x(0), y1: m.top - 6, y2: height - m.bottom, class: 'zero' }),
          drawAxis(isLog ? logAxis(axisBottom, x) : axisBottom(x).ticks(7).tickSizeOuter(0), `translate(0,${height - m.bottom + 2})`),
        )),
    );
    fill(behind, figures('Figures', table(title, ['variant', ...parts.map((p) => p.label)], shown.map((n) => [n, ...parts.map((p) => pm(...value(p, n)))]), { class: 'small' })));
  }
  draw();

  const claims = [];
  if (studies.length > 1)
    for (const st of studies) for (const c of st.claims) if (!claims.includes(c.says)) claims.push(c.says);
  const label = (st) =>
    studies.filter((o) => o.name === st.name).length > 1 ? `${st.name} – ${parts.filter((p) => studies[p.s] === st).map((p) => p.modelName).join(', ')}` : st.name;
  return section(
    'side',
    'Side by side',
    'The same variants on each: value, and two standard errors to each side.',
    h('div', { class: 'controls' }, choice('Show', available.map((k) => [k, { kld: 'KL', ppl: 'perplexity', top: 'same top', truth: 'to truth' }[k]]), view.kind, (v) => { view.kind = v; draw(); })),
    plot,
    behind,
    claims.length
      ? h('div', { class: 'scroll', role: 'region', 'aria-label': 'Claims side by side', tabindex: '0' },
          table('Claims side by side', ['claim', ...studies.map(label)], claims.map((says) => [says, ...studies.map((st) => { const c = st.claims.find((d) => d.says === says); return c ? badge(c.verdict) : '–'; })]), { class: 'sideclaims' }))
      : null,
  );
}
const clip = (t, n) => (t.length > n ? `${t.slice(0, n - 1)}…` : t);
