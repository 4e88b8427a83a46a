// What is chosen on the page: the part (a model of a study) and one of its variants.
export const state = { part: null, variant: null };
let listeners = [];
export const onVariant = (f) => listeners.push(f);
export function setVariant(name) {
  if (state.variant === name) return;
  state.variant = name;
  for (const f of listeners) f();
}
export function setPart(part, variant) {
  listeners = [];
  state.part = part;
  state.variant = variant;
}
