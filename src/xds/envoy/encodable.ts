import { MeshError } from "../../errors.ts";
import type { HttpRule } from "../../registry/model/http-rule.ts";

/** Says that `field` of a rule cannot be what it is, as Envoy would refuse the whole message. */
export function refuse(rule: HttpRule, field: string, problem: string): never {
  throw new MeshError("invalid", `${rule.name}: ${field} ${problem}`, { rule: rule.name, field });
}
