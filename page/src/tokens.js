// The scored text, each token shaded by what the variant changed; and texts that went on freely.
import { choice, fill, h, rove, s, section, select } from './dom.js';
import { halves, measures } from './data.js';
import { count, num, percent, plural, signed } from './numbers.js';
import { key, linear, logAxis, logScale, rise, shade } from './plot.js';
import { onVariant, setVariant, state } from './state.js';

const visible = (piece) => piece.replace(/\n/g, '↵').replace(/\t/g, '⇥').replace(/ /g, ' ');
// The same as nodes, lines broken.
const lines = (piece) => piece.split('\n').flatMap((t, i, all) => (i < all.length - 1 ? [visible(t), '↵', h('br')] : [visible(t)]));
const named = (piece) => (piece.trim() === '' ? `“${visible(piece).replace(/ /g, '␠')}”` : `“${visible(piece)}”`);

export function tokens(part) {
  const { model, whole, study } = part;
  const data = model.tokens;
  if (!data?.chunks?.length || !whole.length) return null;
  const sample = model.sample;
  const starts = [];
  let total = 0;
  for (const c of data.chunks) {
    starts.push(total);
    total += c.scored.length;
  }
  const margins = data.chunks.map((c) => halves(c.margins));
  // Where the sample has the likeliest tokens of a chunk: the place of its first row.
  const topAt = new Map();
  if (sample) {
    let at = 0;
    for (const c of sample.chunks) {
      topAt.set(c, at);
      at += data.chunks.find((d) => d.chunk === c)?.scored.length ?? 0;
    }
  }
  const view = { chunk: 0, by: 'kld' };
  const controls = h('div', { class: 'controls' });
  const strip = h('div', { class: 'strip' });
  const first = h('p', { class: 'firstdiff' });
  const body = h('div', { class: 'tokentext', role: 'group', 'aria-label': 'Scored text; arrow keys walk through its tokens' });
  const legend = h('div', {});
  const card = h('div', { class: 'detail tokencard', id: 'token', 'aria-live': 'polite' });

  const piece = (id) => data.pieces[id] ?? sample?.pieces?.[id] ?? `#${id}`;
  const chunkName = (i) => `${study.texts[data.chunks[i].text].name}, chunk ${data.chunks[i].number + 1}`;

  function drawControls() {
    fill(
      controls,
      select('Variant', whole.map((v) => v.name), state.variant, setVariant),
      select('Chunk', data.chunks.map((c, i) => [i, chunkName(i)]), view.chunk, (v) => go(Number(v))),
      h(
        'div',
        { class: 'steps' },
        h('button', { type: 'button', 'aria-label': 'Chunk before', disabled: view.chunk === 0, onclick: () => go(view.chunk - 1) }, '←'),
        h('button', { type: 'button', 'aria-label': 'Next chunk', disabled: view.chunk === data.chunks.length - 1, onclick: () => go(view.chunk + 1) }, '→'),
      ),
      choice('Shade by', [['kld', 'KL'], ['dp', 'Δ probability']], view.by, (v) => { view.by = v; draw(); }),
    );
  }
  function go(chunk) {
    view.chunk = chunk;
    drawControls();
    draw();
  }

  // Mean KL of every chunk; a click goes there.
  function drawStrip(m) {
    const n = data.chunks.length;
    if (n < 2) return fill(strip);
    const means = data.chunks.map((c, i) => {
      let sum = 0;
      for (let k = 0; k < c.scored.length; ++k) sum += m.kld[starts[i] + k] || 0;
      return sum / c.scored.length;
    });
    const width = 1000;
    const y = linear().domain([0, Math.max(...means, 1e-30)]).range([0, 34]);
    const w = Math.min(width / n, 26);
    return fill(
      strip,
      h('p', { class: 'note' }, `Mean KL by chunk, up to ${num(Math.max(...means), 2)} nats; choose one.`),
      s(
        'svg',
        { viewBox: `0 0 ${width} 40`, preserveAspectRatio: 'none', class: 'stripplot', 'aria-hidden': 'true' },
        means.map((v, i) =>
          s(
            'g',
            { onclick: () => go(i), class: `bar${i === view.chunk ? ' chosen' : ''}`, 'data-chunk': i },
            s('rect', { x: i * w, y: 0, width: w, height: 40, class: 'hit' }, s('title', {}, `${chunkName(i)}: ${num(v, 2)}`)),
            s('rect', { x: i * w + w * 0.1, width: w * 0.8, y: 37 - Math.max(1, y(v)), height: Math.max(1, y(v)) }),
            i > 0 && data.chunks[i].text !== data.chunks[i - 1].text && s('line', { x1: i * w, x2: i * w, y1: 0, y2: 40, class: 'zero' }),
          ),
        ),
      ),
    );
  }

  function firstDifference(m) {
    const text = data.chunks[view.chunk].text;
    for (let i = 0; i < data.chunks.length; ++i) {
      if (data.chunks[i].text !== text) continue;
      for (let k = 0; k < data.chunks[i].scored.length; ++k) if (m.other[starts[i] + k]) return { chunk: i, k };
    }
    return null;
  }

  function draw() {
    const chunk = data.chunks[view.chunk];
    const m = measures(data, state.variant);
    const from = starts[view.chunk];
    const n = chunk.scored.length;
    const shown = Array.from({ length: n }, (_, k) => k);
    const klds = shown.map((k) => m.kld[from + k]);
    const dps = shown.map((k) => m.deltaP[from + k]);
    // Scales of all chunks shown, so that chunks compare.
    let least = Infinity;
    let mostKld = 0;
    let mostDp = 0;
    for (let i = 0; i < total; ++i) {
      mostKld = Math.max(mostKld, m.kld[i] || 0);
      if (m.kld[i] > 0) least = Math.min(least, m.kld[i]);
      mostDp = Math.max(mostDp, Math.abs(m.deltaP[i]) || 0);
    }
    const top = mostKld || 1;
    const log = logScale([Math.max(least, top / 1e5), top], [0, 1], 2).clamp(true);
    const dp = linear().domain([-(mostDp || 1), mostDp || 1]).range([-1, 1]);
    const [warm, cool] = [shade(), rise()];
    const colour = (k) => {
      if (view.by === 'kld') return klds[k] > 0 ? warm(log(klds[k])) : null;
      const d = dp(dps[k]);
      return !d ? null : d < 0 ? warm(Math.sqrt(-d)) : cool(Math.sqrt(d));
    };
    const difference = firstDifference(m);
    const items = [];
    const byToken = new Map(chunk.scored.map((row, k) => [row + 1, k]));
    const nodes = chunk.ids.flatMap((id, i) => {
      const k = byToken.get(i);
      const text = piece(id);
      if (k === undefined) return h('span', { class: 'context' }, lines(text));
      const isFirst = difference && difference.chunk === view.chunk && difference.k === k;
      const span = h(
        'span',
        {
          class: `token${m.other[from + k] ? ' other' : ''}${isFirst ? ' first' : ''}`,
          style: colour(k) ? `background:${colour(k)}` : null,
          tabindex: '-1',
          role: 'button',
          'data-k': k,
          'aria-label': `${named(text)}, KL ${num(klds[k], 2)}, change of probability ${signed(dps[k], 2)}${m.other[from + k] ? ', another token is likeliest' : ''}`,
        },
        lines(text),
      );
      items.push(span);
      return span;
    });
    fill(body, nodes);
    rove(body, items, (k, i) => ({ ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: items.length - 1 })[k]);
    const see = (e) => {
      const token = e.target.closest('.token');
      if (token) drawCard(Number(token.dataset.k), klds, dps, m);
    };
    body.onpointerover = see;
    body.onfocusin = see;
    body.onclick = see;
    if (difference) {
      const margin = margins[difference.chunk][difference.k];
      fill(
        first,
        'First different choice in ',
        h('strong', {}, study.texts[chunk.text].name),
        `: before token ${count(data.chunks[difference.chunk].scored[difference.k] + 1)} of chunk ${count(data.chunks[difference.chunk].number + 1)}, where the baseline’s likeliest token led by ${num(margin, 2)} (logits). `,
        difference.chunk === view.chunk ? 'It is outlined below.' : h('button', { type: 'button', class: 'link', onclick: () => go(difference.chunk) }, 'Go there'),
      );
    } else {
      fill(first, 'In ', h('strong', {}, study.texts[chunk.text].name), ' the likeliest token is the baseline’s throughout the chunks shown.');
    }
    fill(
      legend,
      view.by === 'kld'
        ? key('KL, nats (log scale)', log, warm, (make, x) => logAxis(make, x, 6))
        : key('change of the token’s probability', dp, (t) => (t < 0.5 ? warm(Math.sqrt(1 - 2 * t)) : cool(Math.sqrt(2 * t - 1))), (make, x) => make(x).ticks(5, '+.1g').tickSizeOuter(0)),
    );
    drawStrip(m);
    const start = difference && difference.chunk === view.chunk ? difference.k : klds.reduce((best, x, i) => (x > klds[best] ? i : best), 0);
    drawCard(start, klds, dps, m);
  }

  function drawCard(k, klds, dps, m) {
    const chunk = data.chunks[view.chunk];
    for (const token of body.querySelectorAll('.token.seen')) token.classList.remove('seen');
    body.querySelector(`.token[data-k="${k}"]`)?.classList.add('seen');
    const at = topAt.has(chunk.chunk) ? topAt.get(chunk.chunk) + k : -1;
    const base = at < 0 ? null : sample.lanes[0].top[at];
    const lane = at < 0 ? null : sample.lanes.find((l) => l.name === state.variant)?.top[at];
    fill(
      card,
      h('h3', {}, named(piece(chunk.ids[chunk.scored[k] + 1]))),
      h('p', { class: 'muted' }, `token ${count(chunk.scored[k] + 1)} of ${chunkName(view.chunk)}`),
      h(
        'dl',
        { class: 'pairs' },
        h('dt', {}, 'KL'),
        h('dd', {}, `${num(klds[k], 2)} nats`),
        h('dt', {}, 'change of its probability'),
        h('dd', {}, signed(dps[k], 2)),
        h('dt', {}, 'baseline’s margin'),
        h('dd', {}, `${num(margins[view.chunk][k], 2)} logits`),
        h('dt', {}, 'likeliest token'),
        h('dd', {}, m.other[starts[view.chunk] + k] ? 'another' : 'the same'),
      ),
      base
        ? h(
            'div',
            { class: 'tops' },
            topTable('baseline', base, chunk.ids[chunk.scored[k] + 1]),
            lane === undefined ? null : lane === null ? h('p', { class: 'muted' }, 'The variant’s logits are the same.') : topTable('variant', lane, chunk.ids[chunk.scored[k] + 1]),
          )
        : h('p', { class: 'note' }, 'Alternatives are kept for the first chunk of a text.'),
    );
  }
  function topTable(title, list, right) {
    const most = Math.max(...list.map(([, p]) => p));
    return h(
      'table',
      { class: 'small top' },
      h('caption', {}, title),
      h('thead', { class: 'sr' }, h('tr', {}, h('th', { scope: 'col' }, 'token'), h('th', { scope: 'col' }, 'probability'))),
      h('tbody', {}, list.map(([id, p]) =>
        h('tr', { class: id === right ? 'right' : null }, h('th', { scope: 'row' }, named(piece(id)), id === right ? h('span', { class: 'sr' }, ' (the text’s)') : null), h('td', { style: `--share:${(100 * p) / most}%` }, percent(p, 1))),
      )),
    );
  }

  drawControls();
  draw();
  onVariant(() => {
    drawControls();
    draw();
  });
  return section(
    'tokens',
    'Tokens',
    'Each scored token, shaded by what the variant changes where it is predicted. Underlined: another token is likeliest there. Point at one, or walk with the arrow keys.',
    controls,
    strip,
    first,
    h('div', { class: 'split' }, h('div', {}, body, legend, data.note ? h('p', { class: 'note' }, data.note) : null), card),
    freeTexts(part),
  );
}

function freeTexts(part) {
  const data = part.model.free;
  if (!data) return null;
  const out = h('div', {});
  const summary = h('p', { class: 'lead' });
  const margins = data.prompts.map((p) => halves(p.margins));
  const piece = (id) => data.pieces[id] ?? part.model.tokens.pieces[id] ?? `#${id}`;
  const textOf = (ids) => ids.map(piece).join('');
  function draw() {
    const lane = data.lanes[state.variant];
    if (!lane) {
      fill(summary, `‘${state.variant}’ was not left to run freely.`);
      fill(out);
      return;
    }
    const free = part.whole.find((v) => v.name === state.variant)?.free_running;
    fill(
      summary,
      `‘${state.variant}’ left to itself, greedily, after ${plural(data.prompts.length, 'prompt')}`,
      free ? `: ${percent(free.match_rate, 1)} of tokens are the baseline’s at the same place, ${count(free.diverged)} of ${count(free.prompts)} texts part.` : '.',
    );
    fill(
      out,
      data.prompts.map((p, i) => {
        const base = data.lanes.baseline[i];
        const mine = lane[i] ?? base;
        let k = 0;
        while (k < base.length && base[k] === mine[k]) ++k;
        const same = k === base.length && k === mine.length;
        return h(
          'details',
          { class: 'free' },
          h('summary', {}, h('span', { class: 'promptname' }, p.text.length > 72 ? `${p.text.slice(0, 71)}…` : p.text), h('span', { class: `tag ${same ? 'same' : 'noise'}` }, same ? 'identical' : `parts at token ${k + 1}, margin ${num(margins[i][k], 2)}`)),
          h('p', { class: 'prompt' }, p.text, h('span', { class: 'agreed' }, textOf(base.slice(0, k)))),
          same
            ? null
            : h(
                'dl',
                { class: 'branches' },
                h('dt', {}, 'baseline'),
                h('dd', {}, h('mark', {}, visible(piece(base[k] ?? -1))), textOf(base.slice(k + 1))),
                h('dt', {}, 'variant'),
                h('dd', {}, h('mark', {}, visible(piece(mine[k] ?? -1))), textOf(mine.slice(k + 1))),
              ),
        );
      }),
    );
  }
  draw();
  onVariant(draw);
  return h('div', { class: 'freetexts' }, h('h3', {}, 'Running freely'), summary, out, data.note ? h('p', { class: 'note' }, data.note) : null);
}
