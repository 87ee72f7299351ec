import type { ClusterId } from "../names.ts";
import { printable } from "../printable.ts";
import type { PeerStatus } from "../registry/model/peer.ts";
import type { Denial } from "./rules.ts";

const MESSAGE_CHARACTERS_MAX = 1024;

/** What the status of `cluster`, which is live, says of records that were not taken: the first, and how many more. */
export function reasonOf(
  cluster: ClusterId,
  denials: readonly (Denial & { readonly name: string })[],
): Pick<PeerStatus, "reason" | "message"> {
  const [first] = denials;
  if (first === undefined) return { reason: undefined, message: "" };
  const more = denials.length === 1 ? "" : `; ${denials.length - 1} more are refused`;
  const what = first.name === cluster ? "what it says of itself" : first.name || '""';
  const message = `${what} is refused: ${first.message}${more}`;
  const reason = first.reason === "cluster" ? "IdentityMismatch" : "ResourceRejected";
  return { reason, message: printable(message, MESSAGE_CHARACTERS_MAX) };
}
