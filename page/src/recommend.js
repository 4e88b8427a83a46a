// What to do: cost against what was measured, cheapest first.
import { h, scroller, section, table } from './dom.js';
import { variantLink } from './head.js';
import { bytes, interval, num, signed } from './numbers.js';

const standings = {
  recommended: () => ['supported', 'recommended: the cheapest that is as good as the baseline'],
  'as good': (c) => ['same', c.name.endsWith('baseline') ? 'the baseline' : 'as good as the baseline, dearer'],
  worse: () => ['vacuous', 'worse than the baseline, and cheaper'],
  dominated: (c) => ['noise', `dominated by ‘${c.other}’`],
  same: (c) => ['same', `the same as ‘${c.other}’`],
  unknown: () => ['noise', 'a text of one chunk gives no interval'],
};
const ppl = (i) => interval({ value: 100 * Math.expm1(i.value), low: 100 * Math.expm1(i.low), high: 100 * Math.expm1(i.high) }, '\u00a0%');
const range = (i) => `${num(i.value, 2)} [${num(i.low, 2)}, ${num(i.high, 2)}]`;

export function recommend(part) {
  const list = part.model.recommendation;
  if (!list?.length) return null;
  const best = list.find((c) => c.standing === 'recommended');
  const base = list.find((c) => c.name.endsWith('baseline'));
  const names = new Set(part.whole.map((v) => v.name));
  return section(
    'recommend',
    'What to do',
    best
      ? h('span', {}, 'The cheapest that is as good as the baseline on these texts is ', names.has(best.name) ? variantLink(best.name) : `‘${best.name}’`, `: ${bytes(best.bytes)} a token${base && base !== best ? `, ${num((100 * best.bytes) / base.bytes)} % of the baseline’s` : ''}.`)
      : 'None that is cheaper is as good as the baseline on these texts.',
    scroller(
      'Recommendation',
      table(
        'Cost against what was measured, cheapest first',
        ['cheapest first', 'standing', 'bytes a token', 'KL to baseline, nats', 'perplexity', 'accuracy', 'p'],
        list.map((c) => {
          const [kind, text] = (standings[c.standing] ?? (() => ['noise', c.standing]))(c);
          return [
            names.has(c.name) ? variantLink(c.name) : c.name,
            h('span', { class: `tag ${kind}` }, text),
            bytes(c.bytes),
            range(c.kld),
            ppl(c.ln_ppl_ratio),
            `${signed(100 * c.accuracy_difference.value, 2)} %`,
            num(c.p_value, 2),
          ];
        }),
        { class: 'recommendation' },
      ),
    ),
  );
}
