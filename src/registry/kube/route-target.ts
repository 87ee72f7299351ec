import { integerOf, isAbsent, textOf, type Fields } from "./fields.ts";
import type { BackendTarget } from "./route.ts";

/** @throws FieldError */
export function readTarget(ref: Fields, field: string, ownNamespace: string): BackendTarget {
  const { group, kind } = ref;
  const core = textOf(group, `${field}.group`, 253);
  return {
    field,
    group: core === "core" ? "" : core,
    kind: isAbsent(kind) ? "Service" : textOf(kind, `${field}.kind`, 63),
    name: textOf(ref["name"], `${field}.name`, 253),
    namespace: textOf(ref["namespace"], `${field}.namespace`, 63) || ownNamespace,
    port: integerOf(ref["port"], `${field}.port`, 1, 65_535),
  };
}
