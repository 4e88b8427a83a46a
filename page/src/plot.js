// What the plots share: axes and colours. Scales, ticks and shapes are d3's.
import { axisBottom, axisLeft, axisRight } from 'd3-axis';
import { interpolateRgbBasis } from 'd3-interpolate';
import { scaleLinear, scaleLog } from 'd3-scale';
import { select } from 'd3-selection';
import { s } from './dom.js';
import { power10 } from './numbers.js';

// On paper everything is light.
export const printing = matchMedia('print');
export const dark = () => {
  if (printing.matches) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
};

// After Okabe and Ito, whose colours differ for all kinds of colour vision; made a little darker, or
// lighter, for contrast with the paper. Dashes tell the same lines apart in print.
const light = ['#0b5fa5', '#c04a00', '#00795c', '#9c3f86', '#a06a00', '#2f7fa8', '#5b5f66', '#7a4b2a'];
const night = ['#6db3f2', '#ff9456', '#3fcf9f', '#e08cc8', '#f0b63f', '#8fd8f5', '#b9bec6', '#d9a27a'];
export const series = (i) => (dark() ? night : light)[i % light.length];
export const dash = (i) => ['', '6 3', '2 3', '8 3 2 3', '12 4', '4 2', '1 3', '10 3 3 3'][i % 8];

// Dark is much on light paper, light is much on dark: through hues that stay in order without colour.
const ramps = {
  light: ['#f4f1e8', '#d5e3c4', '#93c9b4', '#4fa3ad', '#2b739b', '#28457c', '#1f1f52'],
  dark: ['#1d2430', '#1f3b57', '#1f5c78', '#2b8288', '#5fae8d', '#b2d59b', '#f6f3cf'],
};
export const ramp = () => interpolateRgbBasis(dark() ? ramps.dark : ramps.light);

// Shades behind text, over which the text keeps its contrast.
const shades = { light: ['#fdfcfa', '#fde6c8', '#fbc98d', '#f3a35e'], dark: ['#14171b', '#3a2c1c', '#5f3e18', '#874f12'] };
const rises = { light: ['#fdfcfa', '#d3e6f7', '#a8cfee', '#7db5e3'], dark: ['#14171b', '#1b3147', '#1f466b', '#225c8f'] };
export const shade = () => interpolateRgbBasis(dark() ? shades.dark : shades.light);
export const rise = () => interpolateRgbBasis(dark() ? rises.dark : rises.light);

// A log scale over whole decades about the positive ones of these; never empty.
export function logScale(values, range, least = 1) {
  const positive = values.filter((x) => x > 0 && Number.isFinite(x));
  let low = positive.length ? Math.floor(Math.log10(Math.min(...positive))) : -6;
  const high = positive.length ? Math.ceil(Math.log10(Math.max(...positive)) - 1e-9) : 0;
  if (high - low < least) low = high - least;
  return scaleLog().domain([10 ** low, 10 ** high]).range(range);
}
// Ticks at decades, every second or third where there are many.
export function decades(scale, most = 7) {
  const [a, b] = scale.domain().map((x) => Math.round(Math.log10(x)));
  const step = Math.max(1, Math.ceil((b - a) / most));
  const ticks = [];
  for (let e = b; e >= a; e -= step) ticks.unshift(10 ** e);
  return ticks;
}
export function logAxis(make, scale, most) {
  return make(scale).tickValues(decades(scale, most)).tickFormat(power10).tickSizeOuter(0);
}
export const linear = scaleLinear;

export function drawAxis(axis, transform, attributes) {
  const g = s('g', { class: 'axis', transform, ...attributes });
  select(g).call(axis).attr('font-size', null).attr('font-family', null);
  return g;
}
export { axisBottom, axisLeft, axisRight };

export function figureSvg(width, height, label, ...children) {
  return s(
    'svg',
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      class: 'plot',
      role: 'img',
      'aria-label': label,
    },
    ...children,
  );
}
export const text = (x, y, content, attributes) => s('text', { x, y, ...attributes }, content);

// A colour key for a log or linear scale: a gradient and its axis.
export function key(label, scale, colour, ticksOf) {
  const width = 260;
  const x = scale.copy().range([0, width]);
  const id = `g${Math.random().toString(36).slice(2)}`;
  const stops = Array.from({ length: 13 }, (_, i) =>
    s('stop', { offset: i / 12, 'stop-color': colour(i / 12) }),
  );
  return s(
    'svg',
    { width: width + 40, height: 44, viewBox: `-20 0 ${width + 40} 44`, class: 'key', role: 'img', 'aria-label': label },
    s('defs', {}, s('linearGradient', { id }, stops)),
    text(0, 9, label, { class: 'keylabel' }),
    s('rect', { x: 0, y: 14, width, height: 9, fill: `url(#${id})`, class: 'keybar' }),
    drawAxis(ticksOf(axisBottom, x), 'translate(0,23)'),
  );
}
