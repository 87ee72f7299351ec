import type { AuthorityUse } from "../ca/authority-use.ts";
import type { Authority } from "../ca/authority.ts";
import { isUnder } from "../ca/root-anchor.ts";
import type { EpochMs } from "../host.ts";
import { sameRoots } from "./deed.ts";
import type { ClusterReport, Order } from "./messages.ts";
import { fingerprintOf } from "./wish.ts";

/** What signs, as a report has it. */
export type ReportedAuthority = Pick<ClusterReport, "roots" | "chain" | "signingRoot">;

/** Looked at once for each authority: whom it leads to costs a signature. */
export class AuthorityReport {
  #of: Authority | undefined;
  #wanted: string | undefined;
  #found: ReportedAuthority = { roots: [], chain: [], signingRoot: undefined };

  /** @param wanted the root that the order names: there may be several certificates of one. */
  of(authority: Authority | undefined, wanted: string | undefined): ReportedAuthority {
    if (authority === undefined) return { roots: [], chain: [], signingRoot: undefined };
    if (this.#of !== authority || this.#wanted !== wanted) this.#found = reported(authority, wanted);
    this.#of = authority;
    this.#wanted = wanted;
    return this.#found;
  }
}

function reported(authority: Authority, wanted: string | undefined): ReportedAuthority {
  const root = rootOf(authority, wanted);
  // A root that signs for workloads itself is what signs.
  const chain = authority.chain.length === 0 && root !== undefined ? [root] : authority.chain;
  return { roots: authority.roots, chain, signingRoot: root && fingerprintOf(root) };
}

/** The root that an authority leads to; of several certificates of one root, the one that is wanted. */
function rootOf(authority: Authority, wanted: string | undefined): Uint8Array | undefined {
  const under = authority.roots.filter((der) => isUnder(authority, [der]));
  return under.find((der) => fingerprintOf(der) === wanted) ?? under[0];
}

/** Whether what an order asks of the authority is in use: taken up, and signing. */
export function isInUse(order: Order, installed: Authority, { authority, adopted }: AuthorityUse): boolean {
  const chainOf = ({ chain, privateKey }: Authority): string =>
    `${privateKey.asymmetricKeyType} ${chain.map(fingerprintOf).join()}`;
  return (
    sameRoots(adopted, order.roots) &&
    chainOf(adopted) === chainOf(installed) &&
    chainOf(authority) === chainOf(installed)
  );
}

/** Two clocks that differ are named before certificates are refused for it. */
const SKEW_MS_MAX = 30_000;

export function skewProblem(managerClock: EpochMs, now: EpochMs): string | undefined {
  const skewMs = managerClock - now;
  if (Math.abs(skewMs) <= SKEW_MS_MAX) return undefined;
  const [theirs, ours] = [managerClock, now].map((time) => new Date(time).toISOString());
  const by = spanText(Math.abs(skewMs));
  return (
    `the clock here says ${ours}, and the trust manager's ${theirs}: ours is ${by} ${skewMs > 0 ? "behind" : "ahead"}; set ` +
    "both by NTP, as what one of them signs may not be valid yet, or no longer, to the other"
  );
}

function spanText(ms: number): string {
  const [unit, size] = ms >= 172_800_000 ? ["days", 86_400_000] : ms >= 7_200_000 ? ["hours", 3_600_000] : ["s", 1000];
  return `${Math.round(ms / (size as number))} ${unit}`;
}
