import { integerOf, isAbsent, textOf, type Fields } from "./fields.ts";
import type { BackendTarget } from "./route.ts";

/** @throws FieldError */
export function readTarget(ref: Fields, field: string, ownNamespace: string): BackendTarget {
  const { group, kind } = ref;
  return {
    field,
    group: coreGroup(textOf(group, `${field}.group`, 253)),
    kind: isAbsent(kind) ? "Service" : textOf(kind, `${field}.kind`, 63),
    name: textOf(ref["name"], `${field}.name`, 253),
    namespace: textOf(ref["namespace"], `${field}.namespace`, 63) || ownNamespace,
    port: integerOf(ref["port"], `${field}.port`, 1, 65_535),
  };
}

/** The core group has no name; some write one. */
export const coreGroup = (group: string): string => (group === "core" ? "" : group);
