// The page's document, and what is derived from it.
import { known } from './numbers.js';

export function load() {
  return JSON.parse(document.getElementById('data').textContent).studies;
}

// A study's models, each with what the sections ask for.
export function partsOf(studies) {
  const parts = [];
  studies.forEach((study, s) => {
    study.models.forEach((model, m) => {
      const whole = model.variants.filter((v) => !v.alone);
      const alone = new Map(); // variant -> [by layer]
      for (const v of model.variants) {
        if (!v.alone) continue;
        if (!alone.has(v.alone.of)) alone.set(v.alone.of, []);
        alone.get(v.alone.of)[v.alone.layer] = v;
      }
      const short = shortPath(model.model.path);
      parts.push({ study, model, whole, alone, s, m, short, index: parts.length });
    });
  });
  for (const part of parts) {
    const { study, model } = part;
    const modelName = model.name || part.short;
    const twins = studies.filter((other) => other.name === study.name).length > 1;
    const several = study.models.length > 1;
    part.label =
      studies.length === 1
        ? modelName
        : several || twins
          ? `${study.name} – ${modelName}`
          : study.name;
    part.modelName = modelName;
  }
  return parts;
}
export const shortPath = (path) => path.replace(/\/+$/, '').split('/').pop();

// How a variant stands to noise: vacuous, within, beyond, unclear (its interval holds the noise), or
// changed where nothing is known of noise.
export function standing(part, v) {
  if (v.vacuous) return 'vacuous';
  const noise = part.model.noise?.kld?.mean;
  if (!known(noise)) return 'changed';
  if (!known(v.kld.mean)) return 'beyond'; // not a number is no noise
  if (v.kld.mean <= noise) return 'within';
  return v.kld.mean - 2 * (v.kld.uncertainty ?? 0) > noise ? 'beyond' : 'unclear';
}
// Which is nearer to the truth, by mean distance of logits.
export function nearer(part, v) {
  const a = part.model.baseline.mae_truth?.value;
  const b = v.mae_truth?.value;
  if (!known(a) || !known(b)) return null;
  return b < a ? 'nearer' : b > a ? 'farther' : 'same';
}
const cost = (v) => v.kld.mean ?? Infinity;
// By cost: the default order of variants in lists.
export const byCost = (variants) => [...variants].sort((a, b) => cost(b) - cost(a));

// The upper halves of float32s, in base64.
export function halves(text) {
  const raw = atob(text);
  const n = raw.length >> 1;
  const bits = new Uint32Array(n);
  for (let i = 0; i < n; ++i)
    bits[i] = ((raw.charCodeAt(2 * i) | (raw.charCodeAt(2 * i + 1) << 8)) << 16) >>> 0;
  return new Float32Array(bits.buffer);
}
// KL, change of probability and whether the likeliest token differs, of one variant.
const decoded = new WeakMap();
export function measures(tokens, name) {
  if (!decoded.has(tokens)) decoded.set(tokens, new Map());
  const known = decoded.get(tokens);
  if (known.has(name)) return known.get(name);
  const total = tokens.chunks.reduce((n, c) => n + c.scored.length, 0);
  const m = { kld: new Float32Array(total), deltaP: new Float32Array(total), other: new Uint8Array(total) };
  const text = tokens.lanes[name];
  if (text) {
    const values = halves(text);
    for (let i = 0; i < total; ++i) {
      const kld = values[2 * i];
      m.other[i] = kld < 0 || Object.is(kld, -0) ? 1 : 0;
      m.kld[i] = Math.abs(kld);
      m.deltaP[i] = values[2 * i + 1];
    }
  }
  known.set(name, m);
  return m;
}
// A histogram's bins: [{exponent, count}].
export const bins = (histogram) =>
  !histogram || histogram.bins === ''
    ? []
    : histogram.bins.split(' ').map((c, i) => ({ exponent: histogram.first + i, count: Number(c) }));
export const siteLabel = (site) => (site.layer < 0 ? site.name : `${site.name}[${site.layer}]`);
