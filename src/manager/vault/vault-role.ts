import { MeshError } from "../../errors.ts";
import type { Fields } from "../../kube/fields.ts";
import type { IntermediateOrder } from "../issuer.ts";
import { stringsOf } from "./vault-client.ts";

/** What a role of a PKI engine limits; signing an intermediate does not hold to roles, so we do. */
export interface RoleLimits {
  /** Infinity if it says nothing. */
  readonly lifetimeMs: number;
  /** For the policy's status. */
  readonly notes: readonly string[];
}

/**
 * @param rolePath as `pki_int/roles/gloo-mesh`.
 * @throws MeshError `denied` for what the role would not allow, with the command that allows it.
 */
export function roleLimits(rolePath: string, role: Fields, order: IntermediateOrder): RoleLimits {
  const uri = `spiffe://${order.trustDomain}`;
  if (!allowsUri(role, uri)) throw refusal(rolePath, `allows no name ${uri}`, `allowed_uri_sans=${uri}`);
  const organizations = stringsOf(role["organization"]);
  if (organizations.length > 0 && !organizations.includes(order.organization))
    throw refusal(
      rolePath,
      `is for organization ${organizations.join(", ")}, and the policy's is ${order.organization}`,
      `organization=${order.organization}`,
    );
  const units = stringsOf(role["ou"]);
  const seconds = Number(role["max_ttl"] ?? 0);
  return {
    lifetimeMs: seconds > 0 ? seconds * 1000 : Infinity,
    notes: units.length === 0 ? [] : [`role ${rolePath} sets ou ${units.join(", ")}, which intermediates do not get`],
  };
}

/** As the engine reads it: `*` is any text; a role that names none allows none. A template is Vault's to fill in. */
function allowsUri(role: Fields, uri: string): boolean {
  const globs = stringsOf(role["allowed_uri_sans"]);
  if (role["allowed_uri_sans_template"] === true && globs.some((glob) => glob.includes("{{"))) return true;
  return globs.some((glob) => matches(glob.split("*"), uri));
}

function matches([start = "", ...rest]: readonly string[], text: string): boolean {
  if (rest.length === 0) return text === start;
  if (!text.startsWith(start)) return false;
  const end = rest.at(-1)!;
  let at = start.length;
  for (const part of rest.slice(0, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - end.length >= at && text.endsWith(end);
}

function refusal(rolePath: string, what: string, mend: string): MeshError {
  return new MeshError(
    "denied",
    `role ${rolePath} ${what}; run \`vault patch ${rolePath} ${mend}\`, or leave rolePath out of the policy`,
  );
}
