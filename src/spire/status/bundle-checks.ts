import { hash } from "node:crypto";
import { adviceOn, lifeOf } from "../../ca/remaining-life.ts";
import { formatDuration } from "../../duration.ts";
import type { EpochMs } from "../../host.ts";
import { countOf, fail, inFew, ok, type SpireCheck, warn } from "./check.ts";
import { timeOf } from "./connection-checks.ts";
import type { BundleFacts, PeerFacts, RootFacts, SpireFacts } from "./facts.ts";

/** Servers are asked every 5 s, and agents say what changes: this long, and the server or its agent is away. */
const STALE_MS = 60_000;
const SHOWN_CHARACTERS = 16;

/** Who says bundles of SPIRE's. */
export const [SERVER, AGENT] = ["SPIRE's server", "SPIRE's agent"];

/** Of whom SPIRE says to trust, and of whom other clusters say so. */
export const bundleChecks = (facts: SpireFacts): readonly SpireCheck[] => [
  ...facts.bundles.map((bundle) => bundleCheck(bundle, facts)),
  ...facts.peers.map(driftCheck),
];

/** The same for the same roots, in whatever order: SHA-256 of theirs, sorted, in hexadecimal. */
export const digestOf = (roots: readonly string[]): string => hash("sha256", [...roots].sort().join("\n"), "hex");

const shownDigest = (digest: string): string => digest.slice(0, SHOWN_CHARACTERS);

function bundleCheck(bundle: BundleFacts, facts: SpireFacts): SpireCheck {
  const { roots, saidAt, refused, unread } = bundle;
  const name = `bundle ${bundle.trustDomain}`;
  const { now, trustDomain } = facts;
  const whose = bundle.trustDomain === trustDomain ? "our own trust domain" : "that trust domain";
  if (roots.length === 0 && refused !== undefined)
    return fail(name, `none of its roots is in use: ${refused}`, REFUSED_FIX);
  if (roots.length === 0 && saidAt !== undefined)
    return warn(name, `it says at ${bundle.source} that it has no roots, so nobody of it is believed`, EMPTY_FIX);
  if (roots.length === 0)
    return fail(name, `no root of ${whose} is known, so nobody who shows an SVID of it is believed`, UNKNOWN_FIX);
  const newest = roots.reduce((a, b) => (a.notAfter >= b.notAfter ? a : b));
  const tainted = roots.filter((root) => root.tainted);
  const evidence = evidenceOf(bundle, newest, now);
  if (newest.notAfter <= now) return fail(name, `every root of ${whose} has ended; ${evidence}`, RENEW_ROOT);
  if (refused !== undefined) return fail(name, `${evidence}; what is said now is not in use: ${refused}`, REFUSED_FIX);
  const advice = adviceOn(lifeOf({ role: "root", ...newest }, now), "root");
  if (advice !== undefined) return warn(name, evidence, RENEW_ROOT);
  if (tainted.length > 0) return warn(name, `${evidence}; tainted: ${inFew(tainted.map(nameOf))}`, TAINTED_FIX);
  if (saidAt === undefined) return warn(name, `${evidence}; it is remembered from before our start`, SILENT_FIX);
  if (unread !== undefined) return warn(name, `${evidence}; it cannot be read now: ${unread}`, SILENT_FIX);
  return isStale(bundle, saidAt, facts) ? warn(name, evidence, SILENT_FIX) : ok(name, evidence);
}

/** An agent has nothing to say while nothing changes, and other bundles are looked at every some minutes. */
function isStale({ source }: BundleFacts, saidAt: EpochMs, { now, agent }: SpireFacts): boolean {
  if (source === SERVER) return now - saidAt > STALE_MS;
  return source === AGENT && agent?.connected === false;
}

function evidenceOf({ roots, sequence, source, saidAt }: BundleFacts, newest: RootFacts, now: EpochMs): string {
  const age = saidAt === undefined ? "" : `, ${formatDuration(now - saidAt)} ago`;
  const number = sequence === undefined || sequence === 0n ? "" : `, sequence ${sequence}`;
  const digest = shownDigest(digestOf(roots.map(({ sha256 }) => sha256)));
  return `${countOf(roots.length, "root")}, digest ${digest}${number}; the last ends ${timeOf(newest.notAfter)}; from ${source}${age}`;
}

const nameOf = ({ subject, sha256 }: RootFacts): string => subject || shownDigest(sha256);

const REFUSED_FIX = "mend it where that bundle is made; what was known before counts until then";
const UNKNOWN_FIX = "see the checks of the server and of the agent: one of them has to say it first";
const RENEW_ROOT =
  "see why SPIRE's server has not prepared its next authority (spire-server localauthority x509 show), and whether the " +
  "clocks are right; where its roots come from above, renew those there";
const TAINTED_FIX = "wait until half of a certificate's life has gone by, then revoke it at SPIRE's server";
const EMPTY_FIX = "ask its operators if that is so, or whether its address is right";
const SILENT_FIX = "see that whoever says it runs and can be reached; what was known last is trusted until then";

function driftCheck(peer: PeerFacts): SpireCheck {
  const { cluster, trustDomain, announced, held, missing, unknownThere, keptFromWorkloads, ageMs } = peer;
  const name = `peer ${cluster}`;
  const age = ageMs === 0 ? "" : `, as of ${formatDuration(ageMs)} ago`;
  const said = shownDigest(digestOf(announced));
  const both = `it says ${said} of trust domain ${trustDomain}${age}, and we hold ${shownDigest(digestOf(held))}`;
  const few = (roots: readonly string[]): string => inFew(roots.map(shownDigest));
  // Roots in common are what a change of roots goes by.
  if (missing.length > 0 && missing.length === announced.length)
    return fail(name, `${both}: no root of its is known here`, missingFix(trustDomain));
  if (missing.length > 0) return warn(name, `${both}: we lack ${few(missing)}`, missingFix(trustDomain));
  if (unknownThere.length > 0) return warn(name, `${both}: it lacks ${few(unknownThere)}`, unknownFix(cluster));
  const same = `we trust what it says of trust domain ${trustDomain}${age}: ${countOf(announced.length, "root")}, digest ${said}`;
  if (!keptFromWorkloads) return ok(name, same);
  return warn(name, `${same}; our workloads have none of them, so their calls to it fail`, KEPT_FIX);
}

const missingFix = (trustDomain: string): string =>
  `what is signed under those is refused here: federate SPIRE with ${trustDomain}, or read its bundle with --trust-bundle ` +
  `${trustDomain}=https://…; where that is done it takes one look, at most some minutes`;
const unknownFix = (cluster: string): string =>
  `what is signed under those is refused there: name them in ${cluster}, too, before anything is signed under them`;
const KEPT_FIX =
  "federate SPIRE with that trust domain, or set ISTIO_MULTIROOT_MESH=true, once you have read what that opens " +
  "(mesh-config.md)";
