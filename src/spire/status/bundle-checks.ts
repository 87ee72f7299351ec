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

/** Of whom SPIRE says to trust, and of whom other clusters say so. */
export const bundleChecks = (facts: SpireFacts): readonly SpireCheck[] => [
  ...facts.bundles.map((bundle) => bundleCheck(bundle, facts)),
  ...facts.peers.flatMap(driftCheck),
];

/** The same for the same roots, in whatever order: SHA-256 of theirs, sorted, in hexadecimal. */
export const digestOf = (roots: readonly string[]): string => hash("sha256", [...roots].sort().join("\n"), "hex");

export const shownDigest = (digest: string): string => digest.slice(0, SHOWN_CHARACTERS);

function bundleCheck(bundle: BundleFacts, { now, trustDomain, agent }: SpireFacts): SpireCheck {
  const { roots, source, saidAt, refused } = bundle;
  const name = `bundle ${bundle.trustDomain}`;
  const whose = bundle.trustDomain === trustDomain ? "our own trust domain" : "a federated trust domain";
  if (roots.length === 0 && refused !== undefined)
    return fail(name, `none of its roots is in use: ${refused}`, REFUSED_FIX);
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
  // An agent has nothing to say while nothing changes.
  const isStale = source !== "SPIRE's agent" ? now - saidAt > STALE_MS : agent?.connected === false;
  return isStale ? warn(name, evidence, SILENT_FIX) : ok(name, evidence);
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
const SILENT_FIX = "see the checks of the server and of the agent; what was known last is trusted until then";

/** A cluster that names no roots says nothing that could differ. */
function driftCheck({ cluster, trustDomain, theirs, ours, ageMs }: PeerFacts): readonly SpireCheck[] {
  if (theirs.length === 0) return [];
  const name = `peer ${cluster}`;
  const [held, named] = [new Set(ours), new Set(theirs)];
  const missing = theirs.filter((root) => !held.has(root)).map(shownDigest);
  const surplus = ours.filter((root) => !named.has(root)).map(shownDigest);
  const age = ageMs === 0 ? "" : `, as of ${formatDuration(ageMs)} ago`;
  const said = shownDigest(digestOf(theirs));
  const digests = `it says ${said} of trust domain ${trustDomain}${age}, and we hold ${shownDigest(digestOf(ours))}`;
  if (missing.length > 0) return [fail(name, `${digests}: we lack ${inFew(missing)}`, missingFix(trustDomain))];
  if (surplus.length > 0) return [warn(name, `${digests}: we still trust ${inFew(surplus)}, too`, SURPLUS_FIX)];
  return [ok(name, `it and we hold the same bundle of trust domain ${trustDomain}${age}: digest ${said}`)];
}

const missingFix = (trustDomain: string): string =>
  `what is signed under that root is refused here: federate SPIRE with ${trustDomain}, or name where its bundle is read ` +
  `with --trust-bundle ${trustDomain}=https://…; where both are done already it takes one look, at most some minutes`;
const SURPLUS_FIX =
  "right while that cluster rotates its root; if it goes on for days, whoever told us of that root has to forget it: " +
  "SPIRE's federation, caCertificates of the mesh config, or the authority of our own that both share";
