import type { AuthorityUse } from "../ca/authority-use.ts";
import type { Authority } from "../ca/authority.ts";
import { authorityOf } from "../ca/cacerts.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import { holds, isUnder, rootName } from "../ca/root-anchor.ts";
import { messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { withRoots } from "./authority-files.ts";
import type { AuthorityUpdate, Installed, InstalledAuthority } from "./installed.ts";
import type { Order } from "./messages.ts";
import { fingerprintOf, wishOf } from "./wish.ts";

/** What is to be done so that an order holds. */
export type Deed =
  /** Nothing: it holds, or what it waits for is said in `wait`. */
  | { readonly kind: "none"; readonly wait?: string }
  /** A certificate for a new key. `renewal` is one that the order does not depend on. */
  | { readonly kind: "ask"; readonly why: string; readonly renewal: boolean }
  /** Other roots beside the certificate that is there. */
  | { readonly kind: "write"; readonly update: AuthorityUpdate }
  /** It cannot be carried out: what is there goes on. */
  | { readonly kind: "refuse"; readonly why: string };

export interface DeedFacts {
  readonly trustDomain: string;
  readonly order: Order;
  readonly installed: Installed;
  /** What is installed, or why it cannot be used; undefined unless it is an authority that we may write. */
  readonly there: Authority | string | undefined;
  /** Undefined until an authority is in use. */
  readonly inUse: AuthorityUse | undefined;
  /** True once the certificate that is there is to be renewed. */
  readonly renewalIsDue: boolean;
  readonly now: EpochMs;
}

/** A pure function of what is known (contract identity.md 4.2, R4 to R8). Roots come first: they are what others wait for. */
export function deedFor(facts: DeedFacts): Deed {
  const { order, installed } = facts;
  if (installed.kind === "foreign") return { kind: "refuse", why: installed.why };
  const why = whyNotThis(facts);
  if (why !== undefined) return { kind: "refuse", why };
  if (installed.kind === "unknown") return { kind: "none", wait: installed.why };
  if (installed.kind === "own") return deedBeside(installed, facts);
  if (order.signingRoot !== undefined) return { kind: "ask", why: "there is no authority here yet", renewal: false };
  return { kind: "none", wait: "there is no authority here, and the order names no root to sign under yet" };
}

function deedBeside(installed: InstalledAuthority, facts: DeedFacts): Deed {
  const { order, now, trustDomain } = facts;
  const there = facts.there!;
  const ask = askFor(installed, there, facts);
  if (sameRoots(there, order.roots)) return ask ?? { kind: "none" };
  const update = withRoots(installed, order.roots);
  const refused = whyUnusable({ ...installed, files: { ...installed.files, text: update.files } }, trustDomain, now);
  if (refused === undefined) return { kind: "write", update };
  return (
    ask ?? { kind: "refuse", why: `with the roots of the order, ${refused}; the order names no root to change to` }
  );
}

/** Undefined if the certificate that is there is the one that is wanted. */
function askFor(
  { wish }: InstalledAuthority,
  there: Authority | string,
  { order, renewalIsDue }: DeedFacts,
): Extract<Deed, { kind: "ask" }> | undefined {
  const { signingRoot } = order;
  if (signingRoot === undefined) return undefined;
  const ask = (why: string, renewal = false) => ({ kind: "ask", why, renewal }) as const;
  if (typeof there === "string") return ask(`what is there cannot be used: ${there}`);
  const root = order.roots.find((der) => fingerprintOf(der) === signingRoot)!;
  if (!isUnder(there, [root])) return ask(`it is to sign under ${rootName(root)}`);
  if (wish !== wishOf(order)) return ask("it is to have another shape");
  return renewalIsDue ? ask("what is there ends soon", true) : undefined;
}

/** Why an order is none, or would part the mesh. */
function whyNotThis({ order, trustDomain, there, inUse, now }: DeedFacts): string | undefined {
  const { roots, signingRoot } = order;
  if (order.trustDomain !== trustDomain)
    return (
      `the order is for trust domain ${order.trustDomain}, and this control plane's is ${trustDomain}: name ${trustDomain} ` +
      `in an IdentityProvider for this cluster, or start this control plane with --trust-domain ${order.trustDomain}`
    );
  if (roots.length === 0) return "the order names no roots, and a mesh without any trusts nobody";
  const broken = roots.map(whyNoCertificate).find((why) => why !== undefined);
  if (broken !== undefined) return `a root of the order cannot be read: ${broken}`;
  if (signingRoot !== undefined && !roots.some((der) => fingerprintOf(der) === signingRoot))
    return `the order names signing root ${signingRoot}, which is not among its roots`;
  const before = [inUse?.adopted, typeof there === "object" ? there : undefined];
  return before.some((authority) => authority !== undefined && parts(authority.roots, roots, now))
    ? PARTING
    : undefined;
}

const PARTING =
  "the order takes roots out and puts others in at once, so workloads that know only the old ones would refuse those that " +
  "know only the new: the old ones have to be there, too, until every cluster trusts both; what is here goes on";

/** The rule of the control plane itself: one set of roots holds the other. What has ended needs no place. */
function parts(before: readonly Uint8Array[], after: readonly Uint8Array[], now: EpochMs): boolean {
  const alive = before.filter((root) => readCertificate(root).notAfter > now);
  return !holds(after, alive) && !holds(alive, after);
}

/** Or why it cannot be used. */
export function readable({ files }: InstalledAuthority, trustDomain: string, now: EpochMs): Authority | string {
  try {
    return authorityOf(files, trustDomain, now);
  } catch (thrown) {
    return messageOf(thrown);
  }
}

function whyUnusable(installed: InstalledAuthority, trustDomain: string, now: EpochMs): string | undefined {
  const found = readable(installed, trustDomain, now);
  return typeof found === "string" ? found : undefined;
}

/** What cannot be used has no roots to compare. */
export function sameRoots(there: Authority | string, roots: readonly Uint8Array[]): boolean {
  if (typeof there === "string") return true;
  const [here, wanted] = [new Set(there.roots.map(fingerprintOf)), new Set(roots.map(fingerprintOf))];
  return here.size === wanted.size && [...wanted].every((root) => here.has(root));
}

function whyNoCertificate(der: Uint8Array): string | undefined {
  try {
    readCertificate(der);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
  }
}
