import type { Caller } from "../caller.ts";
import { MeshError } from "../errors.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { printable } from "../printable.ts";
import type { ClientNode } from "./resource.ts";

/**
 * Holds what a client says of itself to what it has proven (contract ztunnel.md 1.5): its namespace, and its service
 * account if it names one.
 * @throws MeshError `denied`, naming both.
 */
export function checkNodeIdentity(node: ClientNode, caller: Caller): void {
  const { namespace, serviceAccount } = caller.identity;
  const proven = formatServiceAccountId(caller.identity);
  const refuse = (field: string, claimed: string) =>
    new MeshError("denied", `the node says ${field} "${printable(claimed, 128)}", but its credentials are ${proven}'s`);
  const claimedNamespace = node.metadata.get("NAMESPACE") ?? node.id.split("~")[3]?.split(".")[0] ?? "";
  if (claimedNamespace !== namespace) throw refuse("namespace", claimedNamespace);
  const claimedAccount = node.metadata.get("SERVICE_ACCOUNT") ?? "";
  if (claimedAccount !== "" && claimedAccount !== serviceAccount) throw refuse("service account", claimedAccount);
}
