import type { ClusterId } from "../../names.ts";
import type { LabelSelector, Selector } from "../model/label-selector.ts";
import { Interned } from "./interned.ts";
import { FieldError, fieldsOf, listOf, textOf, textsOf } from "./fields.ts";

export type { LabelSelector, Selector } from "../model/label-selector.ts";

/** Labels of one object; equal labels have equal ids, whatever their order. */
export interface LabelSet {
  /** Sorted `key=value` joined by commas; neither can hold a comma. */
  readonly id: string;
  readonly map: ReadonlyMap<string, string>;
}

/** Labels in a namespace: what selectors there can see of a workload. Equal placements have equal ids. */
export interface Placement {
  /** `cluster/namespace/labels`. */
  readonly id: string;
  readonly cluster: ClusterId;
  readonly namespace: string;
  readonly labels: LabelSet;
}

const KEY = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/;
const KEY_CHARS_MAX = 253 + 1 + 63;
const VALUE_CHARS_MAX = 63;
const LABELS_MAX = 1000;

const interned = new Interned<LabelSet>();
const EMPTY: LabelSet = { id: "", map: new Map() };

/** @throws FieldError for what Kubernetes would not have stored. */
export function labelsOf(value: unknown, field: string): LabelSet {
  const pairs = pairsOf(value, field);
  return pairs.length === 0 ? EMPTY : labelSet(pairs);
}

const placements = new Interned<Placement>();

export function placementOf(cluster: ClusterId, namespace: string, labels: LabelSet): Placement {
  const id = `${cluster}/${namespace}/${labels.id}`;
  return placements.get(id, () => ({ id, cluster, namespace, labels }));
}

/** Labels of `over` win. */
export function mergedLabels(under: LabelSet, over: LabelSet): LabelSet {
  if (under.map.size === 0) return over;
  return labelSet([...new Map([...under.map, ...over.map])].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function labelSet(sorted: readonly (readonly [string, string])[]): LabelSet {
  const id = sorted.map(([key, value]) => `${key}=${value}`).join(",");
  return interned.get(id, () => ({ id, map: new Map(sorted) }));
}

/** Undefined if there is nothing to match. @throws FieldError as `labelsOf`. */
export function selectorOf(value: unknown, field: string): Selector | undefined {
  const pairs = pairsOf(value, field);
  return pairs.length === 0 ? undefined : { pairs };
}

export function selects(selector: Selector, labels: LabelSet): boolean {
  return selector.pairs.every(([key, value]) => labels.map.get(key) === value);
}

function pairsOf(value: unknown, field: string): readonly (readonly [string, string])[] {
  const keys = Object.keys(fieldsOf(value, field));
  if (keys.length > LABELS_MAX)
    throw new FieldError(field, `has ${keys.length} labels; at most ${LABELS_MAX} are read`);
  return keys.sort().map((key) => {
    if (key.length > KEY_CHARS_MAX || !KEY.test(key))
      throw new FieldError(field, `has the key ${JSON.stringify(key.slice(0, 80))}, which is not a valid label name`);
    const text = textOf((value as Record<string, unknown>)[key], `${field}[${key}]`, VALUE_CHARS_MAX);
    if (!VALUE.test(text))
      throw new FieldError(
        `${field}[${key}]`,
        `is ${JSON.stringify(text)}; a label may hold letters, digits, '-', '_' and '.' only, and begins and ends with a letter or digit`,
      );
    return [key, text] as const;
  });
}

/** @throws FieldError for an operator that Kubernetes does not have. */
export function labelSelectorOf(value: unknown, field: string): LabelSelector {
  const fields = fieldsOf(value, field);
  const expressions = listOf(fields["matchExpressions"], `${field}.matchExpressions`).map((item, at) => {
    const path = `${field}.matchExpressions[${at}]`;
    const expression = fieldsOf(item, path);
    const operator = textOf(expression["operator"], `${path}.operator`);
    if (operator !== "In" && operator !== "NotIn" && operator !== "Exists" && operator !== "DoesNotExist")
      throw new FieldError(`${path}.operator`, `is ${JSON.stringify(operator)}; use In, NotIn, Exists or DoesNotExist`);
    const values = textsOf(expression["values"], `${path}.values`);
    return { key: textOf(expression["key"], `${path}.key`), operator, values } as const;
  });
  return { matchLabels: selectorOf(fields["matchLabels"], `${field}.matchLabels`), expressions };
}

/** An empty selector selects everything. */
export function labelSelectorSelects(selector: LabelSelector, labels: LabelSet): boolean {
  if (selector.matchLabels && !selects(selector.matchLabels, labels)) return false;
  return selector.expressions.every(({ key, operator, values }) => {
    const value = labels.map.get(key);
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
    }
  });
}
