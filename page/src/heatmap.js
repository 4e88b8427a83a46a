// Layers x sites: where the error is. A grid of cells that arrow keys walk through; the chosen cell's
// distribution beside it.
import { area as areaShape, curveStepAfter } from 'd3-shape';
import { choice, figures, fill, h, rove, s, section, select, sr, table } from './dom.js';
import { bins, siteLabel } from './data.js';
import { count, known, num, percent, plural, power2 } from './numbers.js';
import { axisBottom, axisLeft, drawAxis, figureSvg, key, linear, logAxis, logScale, ramp, text } from './plot.js';
import { onVariant, setVariant, state } from './state.js';

const measuresOf = {
  l2_rel: 'error against the baseline',
  truth_l2_rel: 'error against the truth',
  contributed: 'contributed by the layer',
  inherited: 'inherited by the layer',
  kl_alone: 'KL of the layer alone',
};

export function heatmap(part) {
  const { model, whole, alone } = part;
  const sample = model.sample;
  if (!sample && !model.sites.length) return null;
  const lanes = new Map((sample?.lanes ?? []).map((l) => [l.name, l]));
  const fullSites = model.sites.map((label) => {
    const [, name, layer] = label.match(/^(.*?)(?:\[(\d+)\])?$/);
    return { name, layer: layer === undefined ? -1 : Number(layer) };
  });
  const sites = sample?.sites ?? fullSites;
  const names = [...new Set(sites.map((x) => x.name))];
  const splits = whole.some((v) => v.sites?.contributed);
  const hasTruth = Boolean(model.baseline.mae_truth);
  const layers = Math.max(...sites.map((x) => x.layer)) + 1;
  const columns = [...(sites.some((x) => x.layer < 0) ? [-1] : []), ...Array.from({ length: layers }, (_, i) => i)];
  const view = {
    rows: 'sites',
    measure: 'l2_rel',
    site: names.includes('l_out') ? 'l_out' : names[0],
    cell: null,
  };

  // A value by variant's name, site's name and layer.
  function valueAt(name, site, layer) {
    const v = whole.find((w) => w.name === name);
    if (view.measure === 'kl_alone') return alone.get(name)?.[layer]?.kld?.mean;
    const full = fullSites.findIndex((f) => f.name === site && f.layer === layer);
    if (view.measure === 'contributed' || view.measure === 'inherited') return full < 0 ? undefined : v?.sites?.[view.measure]?.[full];
    if (view.rows === 'variants' && full >= 0) return v?.sites?.[view.measure]?.[full] ?? undefined;
    const at = sites.findIndex((f) => f.name === site && f.layer === layer);
    return lanes.get(name)?.[view.measure]?.[at] ?? undefined;
  }
  function rowsOf() {
    if (view.rows === 'variants') {
      const shown = view.measure === 'kl_alone' ? whole.filter((v) => alone.has(v.name)) : whole;
      return shown.map((v) => ({ title: v.name, variant: v.name, site: view.site }));
    }
    const split = view.measure === 'contributed' || view.measure === 'inherited';
    return (split ? [...new Set(fullSites.map((f) => f.name))] : names).map((n) => ({ title: n, variant: state.variant, site: n }));
  }

  const grid = h('div', { class: 'heatwrap' });
  const detail = h('div', { class: 'detail', id: 'distribution', 'aria-live': 'polite' });
  const legend = h('div', {});
  const controls = h('div', { class: 'controls' });
  const caption = h('p', { class: 'note' });

  function drawControls() {
    const list = ['l2_rel'];
    if (hasTruth) list.push('truth_l2_rel');
    if (splits) list.push('contributed', 'inherited');
    if (alone.size && view.rows === 'variants') list.push('kl_alone');
    if (!list.includes(view.measure)) view.measure = 'l2_rel';
    const again = (f) => (v) => { f(v); drawControls(); draw(); };
    fill(
      controls,
      choice('Rows', [['sites', 'sites of a variant'], ['variants', 'variants at a site']], view.rows, again((v) => (view.rows = v))),
      view.rows === 'sites'
        ? select('Variant', whole.map((v) => v.name), state.variant, setVariant)
        : select('Site', names, view.site, again((v) => (view.site = v))),
      select('Show', list.map((m) => [m, measuresOf[m]]), view.measure, again((v) => (view.measure = v))),
    );
  }

  function draw() {
    const rows = rowsOf().map((r) => ({ ...r, values: columns.map((l) => valueAt(r.variant, r.site, l)) }));
    const all = rows.flatMap((r) => r.values).filter((x) => known(x) && x > 0);
    const scale = logScale(all, [0, 1]);
    const colour = ramp();
    const items = [];
    const body = rows.map((r) =>
      h(
        'tr',
        { role: 'row' },
        h('th', { scope: 'row', role: 'rowheader' }, r.title),
        r.values.map((value, c) => {
          const layer = columns[c];
          const exists = known(value);
          const where = siteLabel({ name: r.site, layer });
          const td = h(
            'td',
            {
              role: 'gridcell',
              class: exists ? (value > 0 ? 'cell' : 'cell zero') : 'cell none',
              style: exists && value > 0 ? `background:${colour(scale(value))}` : null,
              title: exists ? `${r.title === r.site ? '' : `${r.title}, `}${where}: ${num(value)}` : null,
              'data-site': r.site,
              'data-layer': layer,
              'data-variant': r.variant,
            },
            sr(exists ? num(value) : 'not there'),
          );
          if (exists) items.push(td);
          return td;
        }),
      ),
    );
    const title = view.rows === 'sites' ? `${capital(measuresOf[view.measure])}, ‘${state.variant}’, by site and layer` : `${capital(measuresOf[view.measure])} by variant and layer${view.measure === 'kl_alone' ? '' : `, at ${view.site}`}`;
    const node = h(
      'table',
      { class: columns.length <= 16 ? 'heat wide' : 'heat', role: 'grid', 'aria-label': title },
      h('caption', {}, title),
      h(
        'thead',
        {},
        h(
          'tr',
          { role: 'row' },
          h('th', { scope: 'col', role: 'columnheader', class: 'corner' }, 'layer'),
          columns.map((l) => h('th', { scope: 'col', role: 'columnheader' }, l < 0 ? h('abbr', { title: 'outside of the layers' }, '–') : String(l))),
        ),
      ),
      h('tbody', {}, body),
    );
    fill(grid, node);
    fill(legend, key(view.measure === 'kl_alone' ? 'KL, nats a token (log scale)' : 'relative l2 error (log scale)', scale, colour, (make, x) => logAxis(make, x, 6)));
    const at = (td) => [...td.parentNode.children].indexOf(td);
    rove(node, items, (k, i) => {
      const td = items[i];
      const line = { ArrowDown: td.parentNode.nextElementSibling, ArrowUp: td.parentNode.previousElementSibling }[k];
      if (line) return items.indexOf(line.children[at(td)]);
      return { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: items.length - 1 }[k];
    });
    const choose = (td) => {
      for (const other of items) other.removeAttribute('aria-selected');
      td.setAttribute('aria-selected', 'true');
      view.cell = { site: td.dataset.site, layer: Number(td.dataset.layer) };
      drawDetail(td.dataset.variant);
    };
    node.addEventListener('click', (e) => {
      const td = e.target.closest('td.cell:not(.none)');
      if (td) choose(td);
    });
    node.addEventListener('keydown', (e) => {
      if ((e.key === 'Enter' || e.key === ' ') && items.includes(e.target)) {
        e.preventDefault();
        choose(e.target);
      }
    });
    const tokens = sample ? sample.lanes[0].top.length : 0;
    const measured = view.measure === 'contributed' || view.measure === 'inherited' || view.measure === 'kl_alone' || view.rows === 'variants';
    caption.textContent =
      (measured
        ? `Sites that the study measures: over all ${count(model.baseline.ppl.tokens)} scored tokens; others over the sample. `
        : sample ? `Over a sample of ${plural(sample.chunks.length, 'chunk')}${tokens ? '' : ''} of the study. ` : '') +
      'The relative l2 error is |b − a|₂ / |a|₂; hatched cells are equal bit for bit.' +
      (splits ? ' What a layer contributes is its error with all layers before it exact; what it inherits comes from those.' : '');
    const again = view.cell && items.find((td) => td.dataset.site === view.cell.site && Number(td.dataset.layer) === view.cell.layer && (view.rows === 'sites' || td.dataset.variant === state.variant));
    const fallback = [...items].sort((a, b) => valueOf(b) - valueOf(a))[0];
    if (again ?? fallback) choose(again ?? fallback);
    else fill(detail, h('p', { class: 'muted' }, 'Nothing here differs.'));
    function valueOf(td) {
      return valueAt(td.dataset.variant, td.dataset.site, Number(td.dataset.layer)) ?? -1;
    }
  }

  function drawDetail(variant) {
    const { site, layer } = view.cell;
    const label = siteLabel({ name: site, layer });
    const at = sites.findIndex((f) => f.name === site && f.layer === layer);
    const lane = lanes.get(variant);
    if (!sample || at < 0 || !lane) {
      fill(detail, h('h3', {}, label), h('p', {}, num(valueAt(variant, site, layer))));
      return;
    }
    const errors = lane.errors?.[at];
    fill(
      detail,
      h('h3', {}, label),
      h('p', { class: 'muted' }, `‘${variant}’`),
      distribution(sites[at], errors, label),
      h(
        'dl',
        { class: 'pairs' },
        pair('error against the baseline', num(lane.l2_rel?.[at])),
        hasTruth ? pair('error against the truth', `${num(lane.truth_l2_rel?.[at])} (baseline ${num(sample.lanes[0].truth_l2_rel?.[at])})`) : null,
        pair('elements', count(sites[at].count)),
        errors ? pair('equal bit for bit', percent(errors.equal / (sites[at].count || 1), 1)) : null,
      ),
      distributionTable(sites[at], errors, label),
    );
  }

  drawControls();
  draw();
  onVariant(() => {
    drawControls();
    draw();
  });
  return section(
    'layers',
    'Layers and sites',
    'Where the error is: dark is more, on a log scale. Choose a cell for the distribution of values and errors there.',
    controls,
    h('div', { class: 'split' }, h('div', {}, h('div', { class: 'scroll', role: 'region', 'aria-label': 'Heat map', tabindex: '0' }, grid), legend, caption, sample?.notes?.length ? h('p', { class: 'note' }, sample.notes.join(' ')) : null), detail),
  );
}
const capital = (t) => t[0].toUpperCase() + t.slice(1);
export const pair = (k, v) => [h('dt', {}, k), h('dd', {}, v)];

// Magnitudes of values and of errors on one axis of powers of two.
function distribution(site, errors, label) {
  const width = 380;
  const height = 210;
  const m = { left: 44, right: 10, top: 22, bottom: 38 };
  const values = bins(site);
  const wrong = bins(errors);
  const all = [...values, ...wrong];
  if (!all.length) return h('p', {}, 'All values are zero.');
  const low = Math.min(...all.map((b) => b.exponent));
  const high = Math.max(...all.map((b) => b.exponent)) + 1;
  const x = linear().domain([low, high]).range([m.left, width - m.right]);
  const total = site.count || 1;
  const y = linear().domain([0, Math.max(...all.map((b) => b.count)) / total]).nice(4).range([height - m.bottom, m.top]);
  const shape = areaShape().x((d) => x(d[0])).y0(y(0)).y1((d) => y(d[1])).curve(curveStepAfter);
  const outline = (b) => shape([...b.map((d) => [d.exponent, d.count / total]), ...(b.length ? [[b[b.length - 1].exponent + 1, 0]] : [])]);
  return figureSvg(
    width,
    height,
    `Magnitudes of values${wrong.length ? ' and of errors' : ''} at ${label}`,
    drawAxis(axisLeft(y).ticks(4, '%').tickSize(3), `translate(${m.left},0)`),
    drawAxis(axisBottom(x).ticks(7).tickFormat(power2).tickSizeOuter(0), `translate(0,${height - m.bottom})`),
    s('path', { d: outline(values), class: 'valuearea' }),
    wrong.length > 0 && s('path', { d: outline(wrong), class: 'errorarea' }),
    text((m.left + width - m.right) / 2, height - 6, 'magnitude', { class: 'axislabel', 'text-anchor': 'middle' }),
    s('g', { class: 'inkey' }, s('rect', { x: m.left + 4, y: 4, width: 12, height: 9, class: 'valuearea' }), text(m.left + 21, 12, 'values of the baseline'), wrong.length > 0 && [s('rect', { x: m.left + 168, y: 4, width: 12, height: 9, class: 'errorarea' }), text(m.left + 185, 12, 'errors')]),
  );
}
function distributionTable(site, errors, label) {
  const of = (b) => new Map(b.map((d) => [d.exponent, d.count]));
  const [values, wrong] = [of(bins(site)), of(bins(errors))];
  const exponents = [...new Set([...values.keys(), ...wrong.keys()])].sort((a, b) => a - b);
  return figures(
    'Figures',
    table(`Magnitudes at ${label}`, ['from', 'values', 'errors'], [['zero', count(site.zeros), errors ? count(errors.equal) : '–'], ...exponents.map((e) => [power2(e), count(values.get(e) ?? 0), count(wrong.get(e) ?? 0)])], { class: 'small' }),
  );
}
