// A site's magnitudes, and under them what chosen formats can hold there.
import { area as areaShape, curveStepAfter } from 'd3-shape';
import { figures, fill, h, s, section, select, table } from './dom.js';
import { bins, siteLabel } from './data.js';
import { count, num, percent, power2 } from './numbers.js';
import { axisBottom, axisLeft, drawAxis, figureSvg, linear, series, text } from './plot.js';

// What a format holds at each binade, moved by `shift` binades: integers are scaled so that the
// largest is the site's largest.
function lookUp(format, shift) {
  const runs = format.precision;
  return (e) => {
    for (const [first, last, bits] of runs) if (e - shift >= first && e - shift <= last) return bits;
    return null;
  };
}

export function formats(part) {
  const { model, study } = part;
  const sites = model.sample?.sites;
  const known = study.formats;
  if (!sites?.length || !known?.length) return null;
  const names = [...new Set(sites.map((x) => x.name))];
  const named = known.filter((f) => f.named && f.bits <= 32 && f.name !== 'f32').map((f) => f.name);
  const chosen = new Set(['f16', 'bf16', 'e4m3', 'int8', ...named].slice(0, 7));
  const preferred = known.some((f) => f.named) ? favourite(part, names) : names[0];
  const view = { site: preferred, layer: 'all' };
  const controls = h('div', { class: 'controls' });
  const plot = h('div', {});
  const behind = h('div', {});

  const layersOf = (name) => sites.filter((x) => x.name === name).map((x) => x.layer);
  // The site's bins, of one layer or of all together.
  function histogram() {
    const of = sites.filter((x) => x.name === view.site && (view.layer === 'all' || x.layer === Number(view.layer)));
    const counts = new Map();
    let zeros = 0;
    let total = 0;
    for (const site of of) {
      zeros += site.zeros;
      total += site.count;
      for (const b of bins(site)) counts.set(b.exponent, (counts.get(b.exponent) ?? 0) + b.count);
    }
    const list = [...counts].map(([exponent, n]) => ({ exponent, count: n })).sort((a, b) => a.exponent - b.exponent);
    return { list, zeros, total: total || 1 };
  }

  function drawControls() {
    const layers = layersOf(view.site);
    if (view.layer !== 'all' && !layers.includes(Number(view.layer))) view.layer = 'all';
    fill(
      controls,
      select('Site', names, view.site, (v) => { view.site = v; drawControls(); draw(); }),
      layers.length > 1 ? select('Layer', [['all', 'all layers'], ...layers.map((l) => [l, String(l)])], view.layer, (v) => { view.layer = v; draw(); }) : null,
      h(
        'fieldset',
        { class: 'picks inline' },
        h('legend', {}, 'Formats'),
        known.map((f) =>
          h(
            'label',
            { class: 'pickbox' },
            h('input', { type: 'checkbox', value: f.name, checked: chosen.has(f.name), onchange: (e) => { if (e.target.checked) chosen.add(f.name); else chosen.delete(f.name); draw(); } }),
            h('span', {}, f.name),
          ),
        ),
      ),
    );
  }

  function draw() {
    const { list, zeros, total } = histogram();
    if (!list.length) {
      fill(plot, h('p', { class: 'muted' }, 'All values are zero there.'));
      fill(behind);
      return;
    }
    const low = list[0].exponent;
    const high = list[list.length - 1].exponent;
    const shown = known.filter((f) => chosen.has(f.name));
    const shiftOf = (f) => (f.kind === 'integer' ? high - f.precision[f.precision.length - 1][1] : 0);
    const view2 = { low: Math.min(low - 6, -26), high: Math.max(high + 7, 18) };
    const width = Math.max(620, Math.min(1140, (document.getElementById('main').clientWidth || 1140) - 40));
    const m = { left: 84, right: 14, top: 14 };
    const top = 190;
    const row = 50;
    const height = m.top + top + 34 + shown.length * row + 30;
    const x = linear().domain([view2.low, view2.high]).range([m.left, width - m.right]);
    const y = linear().domain([0, Math.max(...list.map((b) => b.count)) / total]).nice(4).range([m.top + top, m.top]);
    const stepped = (points, bottom, at) => areaShape().x((d) => x(d[0])).y0(bottom).y1((d) => at(d[1])).curve(curveStepAfter)(points);
    const axisY = m.top + top;
    const median = medianOf(list);
    // The tallest band in view.
    let tallest = 4;
    for (const f of shown) {
      const of = lookUp(f, shiftOf(f));
      for (let e = view2.low; e < view2.high; ++e) tallest = Math.max(tallest, Math.min(24, of(e) ?? 0));
    }
    const rows = shown.map((f, i) => {
      const of = lookUp(f, shiftOf(f));
      const bottom = axisY + 34 + (i + 1) * row - 8;
      const scale = linear().domain([-1, tallest]).range([bottom, bottom - row + 12]);
      const runs = [];
      let run = null;
      for (let e = view2.low; e < view2.high; ++e) {
        const bits = of(e);
        if (bits === null) { run = null; continue; }
        if (!run) runs.push((run = []));
        run.push([e, Math.min(bits, 24)]);
      }
      const first = of(view2.low) !== null;
      const last = of(view2.high - 1) !== null;
      const bitsHere = of(median);
      return s(
        'g',
        { class: 'formatrow', 'data-format': f.name },
        s('line', { x1: m.left, x2: width - m.right, y1: bottom, y2: bottom, class: 'rail' }),
        runs.map((r) => s('path', { d: stepped([...r, [r[r.length - 1][0] + 1, r[r.length - 1][1]]], bottom, (b) => scale(b)), fill: series(i), 'fill-opacity': 0.35, stroke: series(i), 'stroke-width': 1.5 })),
        text(m.left - 10, bottom - 8, f.name, { class: 'rowlabel', 'text-anchor': 'end' }),
        bitsHere !== null && text(x(median + 0.5), scale(Math.min(bitsHere, 24)) + (bitsHere >= 0.6 * tallest ? 15 : -4), bitsText(bitsHere), { class: 'bits', 'text-anchor': 'middle' }),
        first && text(m.left + 3, bottom - 5, '‹', { class: 'more' }),
        last && text(width - m.right - 8, bottom - 5, '›', { class: 'more' }),
      );
    });
    const where = view.layer === 'all' ? `${view.site}, all layers` : siteLabel({ name: view.site, layer: Number(view.layer) });
    const svg = figureSvg(
      width,
      height,
      `Magnitudes at ${where}, and the fraction bits of ${shown.map((f) => f.name).join(', ')} by magnitude; figures in the table below`,
      s('rect', { x: x(low), width: x(high + 1) - x(low), y: m.top, height: height - m.top - 30, class: 'ghost' }),
      drawAxis(axisLeft(y).ticks(4, '%').tickSize(3), `translate(${m.left},0)`),
      s('path', { d: stepped([...fillGaps(list).map((b) => [b.exponent, b.count / total]), [high + 1, 0]], axisY, y), class: 'valuearea' }),
      drawAxis(axisBottom(x).ticks(10).tickFormat(power2).tickSizeOuter(0), `translate(0,${axisY})`),
      rows,
      text((m.left + width - m.right) / 2, height - 8, 'magnitude; below, bits of fraction that each format has there', { class: 'axislabel', 'text-anchor': 'middle' }),
    );
    fill(plot, h('div', { class: 'scroll', role: 'region', 'aria-label': 'Magnitudes and formats', tabindex: '0' }, svg));
    const share = (of) => list.reduce((n, b) => n + (of(b.exponent) ? b.count : 0), 0) / total;
    fill(
      behind,
      h('div', { class: 'scroll', role: 'region', 'aria-label': 'Formats at this site', tabindex: '0' },
        table(
          `What formats hold at ${where}`,
          ['format', 'bits', 'range', 'values above', 'values below', 'fraction bits at the median', 'relative error there'],
          shown.map((f) => {
            const shift = shiftOf(f);
            const least = f.precision[0][0] + shift;
            const most = f.precision[f.precision.length - 1][1] + shift;
            const bits = lookUp(f, shift)(median);
            return [
              h('code', {}, f.name),
              String(f.bits),
              `${power2(least)} … ${power2(most + 1)}${f.kind === 'integer' ? ' (scaled)' : ''}`,
              percent(share((e) => e > most), 2),
              percent(share((e) => e < least), 2),
              bits === null ? '–' : bitsText(bits),
              bits === null ? '–' : `≤ ${num(2 ** -(bits + 1), 2)}`,
            ];
          }),
          { class: 'formats' },
        )),
      h('p', { class: 'note' }, `The baseline’s values over the sampled chunks: ${count(total)} elements, ${percent(zeros / total, 1)} of them zero; the median magnitude lies from ${power2(median)} to ${power2(median + 1)}. Integers are shown with the scale that makes the largest of them the site’s largest magnitude, to a power of two. Range is that of whole binades; values below it become zero or the smallest number.`),
      figures('Figures of the histogram', table(`Magnitudes at ${where}`, ['from', 'elements', 'share'], list.map((b) => [power2(b.exponent), count(b.count), percent(b.count / total)]), { class: 'small' })),
    );
  }
  drawControls();
  draw();
  return section('formats', 'Formats', 'How large the values of a site are, and how finely formats divide that range. A format serves where its band is tall under the histogram.', controls, plot, behind);
}

const bitsText = (bits) => (bits >= 0 ? `${bits} bits` : `1 in ${power2(-bits)}`);
function medianOf(list) {
  const total = list.reduce((n, b) => n + b.count, 0);
  let sum = 0;
  for (const b of list) if ((sum += b.count) * 2 >= total) return b.exponent;
  return 0;
}
function fillGaps(list) {
  const of = new Map(list.map((b) => [b.exponent, b.count]));
  const out = [];
  for (let e = list[0].exponent; e <= list[list.length - 1].exponent; ++e) out.push({ exponent: e, count: of.get(e) ?? 0 });
  return out;
}
// The site that most rules speak of.
function favourite(part, names) {
  const counts = new Map();
  for (const v of part.whole)
    for (const r of v.rules ?? []) {
      const name = r.rule.split(/[[.=]/)[0];
      if (names.includes(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? (names.includes('l_out') ? 'l_out' : names[0]);
}
