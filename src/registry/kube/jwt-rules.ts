import { MeshError } from "../../errors.ts";
import { type JwtRule, parseJwtRule } from "../../jwt-rule.ts";
import { FieldError, listOf } from "./fields.ts";

const RULES_MAX = 20;

/** `jwtRules` of the mesh config. @throws FieldError */
export function jwtRulesOf(value: unknown, field: string): readonly JwtRule[] {
  const rules = listOf(value, field, RULES_MAX).map((rule, at) => ruleOf(rule, `${field}[${at}]`));
  const twice = rules.findIndex(({ issuer }, at) => rules.slice(0, at).some((other) => other.issuer === issuer));
  if (twice >= 0) throw new FieldError(`${field}[${twice}].issuer`, "is there twice; keep one rule for each issuer");
  return rules;
}

function ruleOf(rule: unknown, field: string): JwtRule {
  try {
    return parseJwtRule(rule, field);
  } catch (thrown) {
    const { detail, message } = MeshError.from(thrown);
    throw new FieldError(String(detail["field"]), message);
  }
}
