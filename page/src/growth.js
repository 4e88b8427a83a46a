// A site over depth: rms, mean and error of the baseline and chosen variants, as lines.
import { line as lineShape } from 'd3-shape';
import { choice, figures, fill, h, s, section, select, table } from './dom.js';
import { byCost } from './data.js';
import { known, num } from './numbers.js';
import { axisBottom, axisLeft, dash, drawAxis, figureSvg, linear, logAxis, logScale, series, text } from './plot.js';
import { onVariant, state } from './state.js';

const quantities = {
  rms: ['RMS', 'root mean square of the values', true],
  mean: ['mean', 'mean of the values', false],
  l2_rel: ['error', 'relative l2 error against the baseline', true],
  truth_l2_rel: ['error to truth', 'relative l2 error against the float64 truth', true],
};
const most = 6;

export function growth(part) {
  const { model, whole } = part;
  const sites = model.sites.map((label, i) => {
    const [, name, layer] = label.match(/^(.*?)(?:\[(\d+)\])?$/);
    return { i, name, layer: layer === undefined ? -1 : Number(layer) };
  });
  const names = [...new Set(sites.filter((x) => x.layer >= 0).map((x) => x.name))];
  if (!names.length) return null;
  const view = { site: names.includes('l_out') ? 'l_out' : names[0], quantity: 'rms' };
  if (whole.some((v) => !v.vacuous)) view.quantity = 'l2_rel';
  if (view.quantity === 'l2_rel' && model.baseline.sites?.truth_l2_rel) view.quantity = 'truth_l2_rel';

  // The most costly, with different outputs and not of one layer of a sweep where others are.
  let shown = new Set(
    byCost(whole).filter((v) => !v.vacuous && !v.same_as).slice(0, most - 1).map((v) => v.name),
  );
  const plot = h('div', { class: 'growthplot' });
  const behind = h('div', {});
  const controls = h('div', { class: 'controls' });
  const picks = h('fieldset', { class: 'picks' });

  const points = (columns, quantity) =>
    sites.filter((x) => x.name === view.site && x.layer >= 0).map((x) => ({ layer: x.layer, value: columns?.[quantity]?.[x.i] })).filter((p) => known(p.value));

  function lines() {
    const out = [];
    const q = view.quantity;
    if (q !== 'l2_rel') out.push({ name: 'baseline', points: points(model.baseline.sites, q), base: true });
    let c = 0;
    const list = [...shown];
    if (state.variant && !shown.has(state.variant)) list.push(state.variant);
    for (const name of list) {
      const v = whole.find((w) => w.name === name);
      out.push({ name, points: points(v?.sites, q).filter((p) => q !== 'l2_rel' || p.value > 0), c: c++ });
    }
    return out.filter((l) => l.points.length);
  }

  function draw() {
    const all = lines();
    const values = all.flatMap((l) => l.points.map((p) => p.value));
    if (!values.length) {
      fill(plot, h('p', { class: 'muted' }, 'Nothing chosen differs from the baseline here.'));
      fill(behind);
      return;
    }
    const width = Math.max(620, Math.min(1140, (document.getElementById('main').clientWidth || 1140) - 40));
    const height = 340;
    const m = { left: 62, right: 190, top: 16, bottom: 42 };
    const layers = all.flatMap((l) => l.points.map((p) => p.layer));
    const x = linear().domain([Math.min(...layers), Math.max(Math.max(...layers), Math.min(...layers) + 1)]).range([m.left, width - m.right]);
    const [short, long, log] = quantities[view.quantity];
    const isLog = log && values.some((v) => v > 0);
    const y = isLog
      ? logScale(values, [height - m.bottom, m.top])
      : linear().domain([Math.min(0, ...values), Math.max(0, ...values)]).nice().range([height - m.bottom, m.top]);
    const path = lineShape().x((p) => x(p.layer)).y((p) => y(p.value)).defined((p) => !isLog || p.value > 0);
    const colour = (l) => (l.base ? 'var(--ink)' : series(l.c));
    // Names at the ends of lines, moved apart.
    const ends = all
      .map((l) => ({ l, y: y(l.points[l.points.length - 1].value) }))
      .filter((e) => Number.isFinite(e.y))
      .sort((a, b) => a.y - b.y);
    for (let i = 1; i < ends.length; ++i) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + 15);
    const over = ends.length ? ends[ends.length - 1].y - (height - m.bottom + 6) : 0;
    if (over > 0) for (let i = ends.length - 1, room = height - m.bottom + 6; i >= 0; --i, room -= 15) ends[i].y = Math.min(ends[i].y, room);
    const marker = s('line', { y1: m.top, y2: height - m.bottom, class: 'crosshair', visibility: 'hidden' });
    const readout = h('p', { class: 'readout', 'aria-live': 'off' }, 'Point at a layer for its figures.');
    const svg = figureSvg(
      width,
      height,
      `${long} of ${view.site} by layer; the figures are in the table below`,
      s('g', { class: 'gridlines' }, y.ticks(isLog ? 5 : 6).filter((t) => !isLog || Math.abs(Math.log10(t) % 1) < 1e-9).map((t) => s('line', { x1: m.left, x2: width - m.right, y1: y(t), y2: y(t) }))),
      drawAxis(isLog ? logAxis(axisLeft, y, 6) : axisLeft(y).ticks(6).tickFormat((t) => num(t)), `translate(${m.left},0)`),
      drawAxis(axisBottom(x).ticks(Math.min(12, x.domain()[1] - x.domain()[0])).tickFormat((t) => (Number.isInteger(t) ? String(t) : '')).tickSizeOuter(0), `translate(0,${height - m.bottom})`),
      text((m.left + width - m.right) / 2, height - 8, 'layer', { class: 'axislabel', 'text-anchor': 'middle' }),
      marker,
      all.map((l) => [
        s('path', { d: path(l.points), fill: 'none', stroke: colour(l), 'stroke-width': l.base || l.name === state.variant ? 2.6 : 1.8, 'stroke-dasharray': l.base ? '' : dash(l.c), class: 'growthline', 'data-name': l.name }),
        l.points.map((p) => (isLog && p.value <= 0 ? null : s('circle', { cx: x(p.layer), cy: y(p.value), r: 2.6, fill: colour(l) }))),
      ]),
      ends.map((e) => text(width - m.right + 9, e.y + 4, clip(e.l.name), { class: `endlabel${e.l.name === state.variant ? ' chosen' : ''}`, fill: colour(e.l) })),
    );
    svg.addEventListener('pointermove', (e) => {
      const box = svg.getBoundingClientRect();
      const layer = Math.round(x.invert(((e.clientX - box.left) / box.width) * width));
      if (!layers.includes(layer)) return;
      marker.setAttribute('x1', x(layer));
      marker.setAttribute('x2', x(layer));
      marker.setAttribute('visibility', 'visible');
      fill(readout, h('strong', {}, `layer ${layer}`), all.map((l) => {
        const p = l.points.find((q) => q.layer === layer);
        return p ? h('span', {}, h('i', { style: `background:${colour(l)}` }), `${clip(l.name)} ${num(p.value)}`) : null;
      }));
    });
    fill(plot, h('div', { class: 'scroll', role: 'region', 'aria-label': `${short} over depth`, tabindex: '0' }, svg), readout);
    const rows = [...new Set(layers)].sort((a, b) => a - b);
    fill(behind, figures('Figures', table(`${long} of ${view.site} by layer`, ['layer', ...all.map((l) => l.name)], rows.map((r) => [String(r), ...all.map((l) => num(l.points.find((p) => p.layer === r)?.value, 4))]), { class: 'small' })));
  }

  const list = Object.keys(quantities).filter((q) => q === 'l2_rel' || model.baseline.sites?.[q]);
  fill(
    controls,
    names.length > 1 ? select('Site', names, view.site, (v) => { view.site = v; draw(); }) : h('p', { class: 'field' }, h('span', {}, 'Site'), h('code', {}, view.site)),
    choice('Show', list.map((q) => [q, quantities[q][0]]), view.quantity, (v) => { view.quantity = v; draw(); }),
  );
  function drawPicks() {
    const order = byCost(whole).slice(0, 40);
    fill(
      picks,
      h('legend', {}, 'Variants drawn'),
      order.map((v) =>
        h(
          'label',
          { class: 'pickbox' },
          h('input', {
            type: 'checkbox',
            checked: shown.has(v.name),
            onchange: (e) => {
              if (e.target.checked) shown.add(v.name);
              else shown.delete(v.name);
              draw();
            },
          }),
          h('span', {}, v.name),
        ),
      ),
    );
  }
  drawPicks();
  draw();
  onVariant(draw);
  return section(
    'growth',
    'Over depth',
    'How values and errors grow from layer to layer. The baseline is the plain line; the chosen variant is the heavier one.',
    controls,
    plot,
    behind,
    h('details', { class: 'figures' }, h('summary', {}, 'Which variants are drawn'), picks),
  );
}
const clip = (t) => (t.length > 26 ? `${t.slice(0, 25)}…` : t);
