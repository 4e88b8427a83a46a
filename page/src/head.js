// The head of a study: what came out, in words; its claims.
import { h, s } from './dom.js';
import { byCost, nearer, shortPath, standing } from './data.js';
import { count, interval, known, num, percent, percentChange, plural, pm, signed } from './numbers.js';
import { linear } from './plot.js';
import { setVariant } from './state.js';

const words = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];
const word = (n) => words[n] ?? count(n);
const capital = (t) => t[0].toUpperCase() + t.slice(1);
const be = (n) => (n === 1 ? 'is' : 'are');

function list(items) {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items[items.length - 1]}`;
}

// Sentences on one model's variants.
function variantWords(part) {
  const { whole } = part;
  const groups = { beyond: [], within: [], unclear: [], vacuous: [], changed: [] };
  for (const v of whole) groups[standing(part, v)].push(v);
  const out = [];
  const n = whole.length;
  const pieces = [];
  const verb = (k, one, many) => `${word(k)} ${k === 1 ? one : many}`;
  if (part.model.noise) {
    pieces.push(verb(groups.beyond.length, 'changes what the model says by more than noise', 'change what the model says by more than noise'));
    if (groups.within.length) pieces.push(verb(groups.within.length, 'lies within the noise', 'lie within the noise'));
    if (groups.unclear.length) pieces.push(`${word(groups.unclear.length)} cannot be told from it`);
  } else {
    pieces.push(verb(groups.changed.length, 'changes what the model says', 'change what the model says'));
  }
  if (groups.vacuous.length) pieces.push(verb(groups.vacuous.length, 'changed nothing at all', 'changed nothing at all'));
  out.push(`Of ${plural(n, 'variant')}, ${list(pieces)}.`);
  const worst = byCost(whole).find((v) => !v.vacuous);
  if (worst) {
    const change = percentChange(worst.ln_ppl_ratio);
    out.push(
      h(
        'span',
        {},
        'The most costly is ',
        variantLink(worst.name),
        `: KL ${pm(worst.kld.mean, worst.kld.uncertainty)} nats a token, perplexity ${interval(change, '\u00a0%')}, the same likeliest token ${percent(worst.same_top_p, 1)} of the time.`,
      ),
    );
  }
  const told = whole.map((v) => nearer(part, v)).filter(Boolean);
  if (told.length) {
    const k = told.filter((t) => t === 'nearer').length;
    out.push(
      k === 0
        ? 'None is nearer to the float64 truth than the baseline.'
        : `${capital(word(k))} ${be(k)} nearer to the float64 truth than the baseline, by the mean distance of logits.`,
    );
  }
  return out;
}
export function variantLink(name) {
  return h(
    'a',
    { href: '#variants', class: 'variantlink', onclick: () => setVariant(name) },
    `‘${name}’`,
  );
}

const verdicts = { supported: ['✓', 'supported'], refuted: ['✗', 'refuted'], undecided: ['~', 'undecided'] };
export function badge(verdict) {
  const [mark, text] = verdicts[verdict] ?? ['?', verdict];
  return h('span', { class: `badge ${verdict}` }, h('span', { 'aria-hidden': 'true' }, `${mark} `), text);
}

// Left minus right with its interval, and zero.
function intervalPlot(e) {
  const width = 230;
  const values = [0, e.value, e.low ?? e.value, e.high ?? e.value];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = (high - low || 1) * 0.08;
  const x = linear().domain([low - pad, high + pad]).range([4, width - 4]);
  const has = known(e.low) && known(e.high);
  return s(
    'svg',
    { width, height: 24, viewBox: `0 0 ${width} 24`, class: 'interval', 'aria-hidden': 'true' },
    s('line', { x1: 0, x2: width, y1: 12, y2: 12, class: 'rail' }),
    s('line', { x1: x(0), x2: x(0), y1: 2, y2: 22, class: 'zero' }),
    has && s('rect', { x: Math.min(x(e.low), x(e.high)), width: Math.max(1.5, Math.abs(x(e.high) - x(e.low))), y: 8.5, height: 7, rx: 3, class: 'span' }),
    s('circle', { cx: x(e.value), cy: 12, r: 4, class: 'dot' }),
  );
}

function claimItem(c) {
  const e = c.estimate;
  const has = e && known(e.low) && known(e.high);
  return h(
    'li',
    { class: `claim ${c.verdict}` },
    h('div', { class: 'claimhead' }, badge(c.verdict), h('p', { class: 'says' }, c.says, c.required ? h('span', { class: 'promise' }, ' promise') : null)),
    e
      ? h(
          'div',
          { class: 'estimate' },
          intervalPlot(e),
          h(
            'span',
            { class: 'figure' },
            signed(e.value),
            has ? ` [${signed(e.low)}, ${signed(e.high)}]` : ' (no interval)',
            has ? h('span', { class: 'muted' }, ` at ${num(100 * e.confidence, 4)}\u00a0%`) : null,
          ),
        )
      : null,
    h('details', {}, h('summary', {}, 'How it was judged'), h('p', {}, h('code', {}, c.expression)), h('p', { class: 'muted' }, c.detail)),
  );
}

function callouts(part, several) {
  const notes = [];
  const name = several ? `${part.modelName}: ` : '';
  const reasons = new Map();
  for (const v of part.whole) {
    if (!v.vacuous) continue;
    const why = v.rules?.find((r) => r.vacuous && r.why)?.why ?? 'its logits equal the baseline’s bit for bit';
    const key = `${why}${v.foretold ? ' (foretold)' : ''}`;
    if (!reasons.has(key)) reasons.set(key, []);
    reasons.get(key).push(v.name);
  }
  for (const [why, names] of reasons)
    notes.push(h('li', {}, h('strong', { class: 'tag vacuous' }, 'VACUOUS'), ` ${name}`, names.map((n, i) => [i ? ', ' : '', variantLink(n)]), `: ${why}.`));
  for (const v of part.whole)
    if (v.same_as && !v.vacuous)
      notes.push(h('li', {}, h('strong', { class: 'tag same' }, 'IDENTICAL'), ` ${name}`, variantLink(v.name), ` gives the same bits as ‘${v.same_as}’.`));
  return notes;
}

function claimWords(study) {
  const of = (v) => study.claims.filter((c) => c.verdict === v).length;
  const n = study.claims.length;
  if (!n) return null;
  const text = `Of ${plural(n, 'claim')}, ${list(
    ['supported', 'refuted', 'undecided'].filter((v) => of(v)).map((v) => `${word(of(v))} ${be(of(v))} ${v}`),
  )}.`;
  const promises = study.claims.filter((c) => c.required);
  const broken = promises.filter((c) => c.verdict !== 'supported');
  if (!promises.length) return text;
  if (!broken.length) return `${text} ${promises.length === 1 ? 'The promise holds.' : 'All promises hold.'}`;
  return [text, ' ', h('strong', { class: 'broken' }, `${capital(word(broken.length))} ${broken.length === 1 ? 'promise is' : 'promises are'} broken.`)];
}

function stat(value, label) {
  return h('div', { class: 'stat' }, h('dt', {}, label), h('dd', {}, value));
}

export function head(studies, part, parts) {
  const { study } = part;
  const mine = parts.filter((p) => p.s === part.s);
  const several = mine.length > 1;
  const notes = mine.flatMap((p) => callouts(p, several));
  const base = part.model.baseline;
  const lines = mine.map((p) =>
    h('p', { class: 'verdict' }, several ? h('strong', {}, `${p.modelName}. `) : null, variantWords(p).map((x, i) => [i ? ' ' : '', x])),
  );
  return h(
    'section',
    { id: 'verdict', 'aria-labelledby': 'verdict-title', class: 'head' },
    h(
      'p',
      { class: 'eyebrow' },
      mine.map((p) => shortPath(p.model.model.path) + (p.model.name && p.model.name !== shortPath(p.model.model.path) ? ` (${p.model.name})` : '')).join(' · '),
      ` · ${study.texts.map((t) => t.name).join(', ')}`,
    ),
    h('h1', { id: 'verdict-title' }, study.name),
    lines,
    claimWords(study) ? h('p', { class: 'verdict' }, claimWords(study)) : null,
    h(
      'dl',
      { class: 'stats' },
      stat(count(base.ppl.tokens), 'tokens scored'),
      stat(pm(base.ppl.mean, base.ppl.uncertainty), 'baseline perplexity'),
      part.model.noise ? stat(num(part.model.noise.kld.mean, 2), 'noise floor, KL in nats') : null,
      base.mae_truth ? stat(num(base.mae_truth.value, 2), 'baseline to truth, mean |Δ logit|') : null,
      stat(count(mine.reduce((n, p) => n + p.whole.length, 0)), 'variants'),
    ),
    notes.length ? h('ul', { class: 'callouts', 'aria-label': 'Variants that changed nothing, or are the same' }, notes) : null,
    study.claims.length
      ? [h('h2', { id: 'claims' }, 'Claims'), h('p', { class: 'lead' }, 'Left side minus right side, and its interval over chunks of text, for all claims together at 95\u00a0%. The line marks zero.'), h('ul', { class: 'claims' }, study.claims.map(claimItem))]
      : null,
  );
}
