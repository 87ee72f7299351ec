import type { LabelSelector } from "../model/label-selector.ts";
import type { ServiceScopeRule } from "../model/mesh.ts";
import { describe, FieldError, type Fields, isAbsent, isFields, listOf } from "./fields.ts";
import { labelSelectorOf } from "./labels.ts";

const RULES_MAX = 100;

/** `serviceScopeConfigs` of the mesh config (contract ztunnel.md 5.9). @throws FieldError */
export function serviceScopeRulesOf(value: unknown, field: string): readonly ServiceScopeRule[] {
  return listOf(value, field, RULES_MAX).map((item, at) => {
    const path = `${field}[${at}]`;
    const fields = onlyFieldsOf(item, path, ["namespaceSelector", "servicesSelector", "scope"]);
    return {
      namespaceSelector: selectorOf(fields["namespaceSelector"], `${path}.namespaceSelector`),
      serviceSelector: selectorOf(fields["servicesSelector"], `${path}.servicesSelector`),
      scope: scopeOf(fields["scope"], `${path}.scope`),
    };
  });
}

function selectorOf(value: unknown, field: string): LabelSelector | undefined {
  if (isAbsent(value)) return undefined;
  const { matchExpressions } = onlyFieldsOf(value, field, ["matchLabels", "matchExpressions"]);
  for (const [at, expression] of listOf(matchExpressions, `${field}.matchExpressions`).entries())
    onlyFieldsOf(expression, `${field}.matchExpressions[${at}]`, ["key", "operator", "values"]);
  return labelSelectorOf(value, field);
}

function scopeOf(value: unknown, field: string): "global" | "local" {
  if (isAbsent(value) || value === "LOCAL") return "local";
  if (value === "GLOBAL") return "global";
  throw new FieldError(field, `must be LOCAL or GLOBAL, not ${describe(value)}`);
}

/**
 * A map that has no other fields: one that is spelled wrongly must not be passed over where what is left says more than
 * was meant, as a rule without its selector fits every service there is.
 * @throws FieldError
 */
export function onlyFieldsOf(value: unknown, field: string, names: readonly string[]): Fields {
  if (!isFields(value)) throw new FieldError(field, `must be a map of fields, not ${describe(value)}`);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown === undefined) return value;
  throw new FieldError(field, `has the unknown field ${describe(unknown)}; there are ${names.join(", ")}`);
}
