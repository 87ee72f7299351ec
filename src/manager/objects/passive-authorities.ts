import { isAbsent, listOf, textOf } from "../../registry/kube/fields.ts";
import { rootsOf } from "../../registry/kube/ca-certificates.ts";
import type { ObjectName } from "../policy.ts";
import { objectNameOf, onlyOneOf, supportedFieldsOf } from "./read-fields.ts";

/** Roots that are trusted and sign nothing: what a change of the root goes over (contract identity.md 4.2, R8). */
export interface PassiveAuthorities {
  /** In DER. */
  readonly roots: readonly Uint8Array[];
  /** Secrets that hold more of them. */
  readonly secrets: readonly ObjectName[];
}

const ITEMS_MAX = 16;
const PEM_CHARS_MAX = 64 * 1024;

/** @param namespace of the policy. @throws FieldError */
export function passiveAuthoritiesOf(value: unknown, field: string, namespace: string): PassiveAuthorities {
  const [roots, secrets]: [Uint8Array[], ObjectName[]] = [[], []];
  if (isAbsent(value)) return { roots, secrets };
  for (const [at, item] of listOf(value, field, ITEMS_MAX).entries()) {
    const path = `${field}[${at}]`;
    const fields = supportedFieldsOf(item, path, ["certificate", "secretRef"], {
      generated: "what is generated here signs; give the certificate of a root that is there",
    });
    if (onlyOneOf(fields, path, ["certificate", "secretRef"]) === "secretRef")
      secrets.push(objectNameOf(fields["secretRef"], `${path}.secretRef`, namespace));
    else
      roots.push(
        ...rootsOf(textOf(fields["certificate"], `${path}.certificate`, PEM_CHARS_MAX), `${path}.certificate`),
      );
  }
  return { roots, secrets };
}
