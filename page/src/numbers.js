// Numbers for people: a few significant digits, true minus signs, powers of ten, intervals.
const superscripts = { '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };
export const superscript = (n) => [...String(n)].map((c) => superscripts[c]).join('');
const minus = (text) => text.replace(/-/g, '−');
export const known = (x) => typeof x === 'number' && Number.isFinite(x);
const order = (x) => Math.floor(Math.log10(Math.abs(x)));
const plain = (e) => e >= -4 && e < 6;

export function num(x, digits = 3) {
  if (!known(x)) return '–';
  if (x === 0) return '0';
  const e = order(x);
  if (!plain(e)) {
    const [mantissa, exponent] = x.toExponential(digits - 1).split('e');
    return `${minus(mantissa)}×10${superscript(Number(exponent))}`;
  }
  return minus(x.toFixed(Math.max(0, digits - 1 - e)));
}
export const signed = (x, digits = 3) => (known(x) && x > 0 ? '+' : '') + num(x, digits);

// As many decimals as the uncertainty has two digits of, and at most five digits of the value.
function decimals(x, u) {
  if (!known(u) || u === 0) return Math.max(0, 2 - (x === 0 ? 0 : order(x)));
  return Math.min(Math.max(0, 1 - order(u)), Math.max(0, 5 - (x === 0 ? 0 : order(x))));
}
export function pm(x, u, digits = 3) {
  if (!known(x)) return '–';
  if (!known(u) || u === 0) return num(x, digits);
  const scale = Math.max(Math.abs(x), u);
  const e = order(scale);
  if (plain(e)) {
    const d = decimals(x, u);
    return `${minus(x.toFixed(d))} ± ${u.toFixed(d)}`;
  }
  const m = 10 ** e;
  const d = decimals(x / m, u / m);
  return `(${minus((x / m).toFixed(d))} ± ${(u / m).toFixed(d)})×10${superscript(e)}`;
}
// 95 % of a normal distribution.
export const z95 = 1.959964;
// Change of perplexity in per cent from the mean difference of log likelihoods, with its interval.
export function percentChange(log) {
  if (!log || !known(log.value)) return null;
  const of = (x) => 100 * Math.expm1(x);
  const half = z95 * (log.uncertainty ?? 0);
  return { value: of(log.value), low: of(log.value - half), high: of(log.value + half) };
}
// Value and interval apart, with the decimals that the interval's width is worth.
export function intervalParts(i) {
  if (!i || !known(i.value)) return ['–', ''];
  const half = (i.high - i.low) / 2;
  if (!known(half) || half === 0) return [signed(i.value), ''];
  const e = order(Math.max(Math.abs(i.value), half));
  if (!plain(e)) return [signed(i.value, 2), `[${signed(i.low, 2)}, ${signed(i.high, 2)}]`];
  const d = Math.min(8, Math.max(0, 1 - order(half)));
  const f = (x) => (x > 0 ? '+' : '') + minus(x.toFixed(d));
  return [f(i.value), `[${f(i.low)}, ${f(i.high)}]`];
}
export function interval(i, unit = '') {
  const [value, range] = intervalParts(i);
  return `${value}${unit}${range && ' '}${range}`;
}
// A share from 0 to 1; 100 % only where it is.
export function percent(x, d = 2) {
  if (!known(x)) return '–';
  if (x === 1 || x === 0) return `${100 * x}\u00a0%`;
  for (let k = d; k < 8; ++k) {
    const text = (100 * x).toFixed(k);
    if (Number(text) !== 100 && Number(text) !== 0) return `${text}\u00a0%`;
  }
  return `${num(100 * x)}\u00a0%`;
}
export const count = (n) => (known(n) ? String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, '\u202f') : '–');
export const power2 = (e) => `2${superscript(e)}`;
export const power10 = (x) => `10${superscript(Math.round(Math.log10(x)))}`;
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
// Decimal prefixes.
export function si(x) {
  if (!known(x)) return '–';
  if (x === 0) return '0';
  const k = Math.min(5, Math.max(0, Math.floor(Math.log10(Math.abs(x)) / 3)));
  return `${num(x / 1000 ** k)}${k ? '\u202f' : ''}${['', 'k', 'M', 'G', 'T', 'P'][k]}`;
}
export const bytes = (x) => (known(x) ? `${si(x)}B`.replace(/(\d)B/, '$1\u202fB') : '–');
