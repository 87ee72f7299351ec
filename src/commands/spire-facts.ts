import { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { SignerDescription } from "../ca/signer.ts";
import type { Config } from "../config.ts";
import type { EpochMs } from "../host.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { ClusterId } from "../names.ts";
import type { BundleAgreement } from "../plane/bundle-drift.ts";
import type { SpireView } from "../plane/spire.ts";
import type { SpireRegistrationView } from "../plane/spire-registration.ts";
import type { Problem } from "../registry/model/problem.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { IdentityMode } from "../spire-config.ts";
import type { BundleReading } from "../spire/bundle-reader.ts";
import type { BundleFacts, DelegateFacts, PeerFacts, RootFacts, SpireFacts } from "../spire/status/facts.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import type { GatewaysViewed } from "./gateway-view.ts";
import { subjectOf } from "./ca-description.ts";
import type { CertificatesViewed } from "./certificate-view.ts";

/** What of a control plane the status of SPIRE is made of. */
export interface SpireViewed
  extends Pick<GatewaysViewed, "proxyLogs">, Pick<CertificatesViewed, "issuances" | "signer"> {
  readonly config: Config;
  /** Undefined if nothing is asked of SPIRE. */
  spire(): SpireView | undefined;
  /** Undefined if it does not matter here whom SPIRE knows. */
  registration(): SpireRegistrationView | undefined;
  /** Of other trust domains, besides SPIRE's. */
  readBundles(): readonly BundleReading[];
  clients(): readonly ClientStatus[];
  peers(): readonly PeerView[];
  /** Whether one of them and we mean the same roots; undefined if it does not say. */
  bundleAgreement(cluster: ClusterId): BundleAgreement | undefined;
  problems(): readonly Problem[];
}

/** Of identities that were refused. */
const REFUSED_MAX = 1_000;

export function spireFacts(viewed: SpireViewed, now: EpochMs): SpireFacts {
  const { trustDomain, spire } = viewed.config;
  const view = viewed.spire();
  const registration = viewed.registration();
  return {
    ...{ now, mode: spire.identity, trustDomain },
    ...{ server: view?.server, agent: view?.agent, own: view?.own },
    authority: spire.identity === "spire-downstream" ? authorityFacts(viewed) : undefined,
    bundles: [...spiresBundles(spire.identity, view), ...viewed.readBundles().map(readFacts)],
    peers: peerFacts(viewed),
    ...{ census: registration?.census, registration },
    delegates: delegateFacts(viewed),
    refused: [...refusedFacts(viewed)],
  };
}

function authorityFacts(viewed: SpireViewed): SpireFacts["authority"] {
  const faults = viewed.problems().filter(({ object }) => object === "SPIRE's authority for us");
  const described: SignerDescription | undefined = viewed.signer();
  return { notAfter: described?.notAfter, faults };
}

/** Without SPIRE's identities nobody here believes what it says of roots. */
const spiresBundles = (mode: IdentityMode, view: SpireView | undefined): readonly BundleFacts[] =>
  view === undefined || mode === "mesh" ? [] : bundleFacts(view);

/** Our own first, then those that SPIRE is federated with, by name. */
function bundleFacts({ trustDomain, bundles: { own, federated }, said }: SpireView): readonly BundleFacts[] {
  const tainted = new Set(own?.tainted.map(fingerprintOf));
  const facts = (name: string, roots: readonly Uint8Array[]): BundleFacts => ({
    ...{ trustDomain: name, roots: roots.map((root) => rootFacts(root, tainted)), unread: undefined },
    sequence: name === trustDomain ? own?.sequence : undefined,
    ...{ source: said.source(name), saidAt: said.saidAt(name), refused: said.refused.get(name) },
  });
  const known = new Map(federated.map((bundle) => [bundle.trustDomain, bundle.roots]));
  const refused = [...said.refused.keys()].filter((name) => name !== "" && name !== trustDomain);
  const others = [...new Set([...known.keys(), ...refused])].sort();
  return [facts(trustDomain, own?.roots ?? []), ...others.map((name) => facts(name, known.get(name) ?? []))];
}

/** A look that fails once or twice is nobody's business, as long as something is known. */
const FAILURES_UNSAID = 2;

function readFacts({ source, current, why, failures }: BundleReading): BundleFacts {
  const name = { trustDomain: source.trustDomains.join(" and "), source: source.url };
  if (current === undefined)
    return { ...name, roots: [], sequence: undefined, saidAt: undefined, refused: why, unread: undefined };
  const { document, readAt } = current;
  const roots = document.authorities.map((root) => rootFacts(root, new Set()));
  const unread = failures > FAILURES_UNSAID ? why : undefined;
  return { ...name, roots, sequence: document.sequence, saidAt: readAt, refused: undefined, unread };
}

function rootFacts(root: Uint8Array, tainted: ReadonlySet<string>): RootFacts {
  const { notBefore, notAfter } = readCertificate(root);
  const sha256 = fingerprintOf(root);
  return { sha256, subject: subjectOf(new X509Certificate(root)), notBefore, notAfter, tainted: tainted.has(sha256) };
}

function peerFacts(viewed: SpireViewed): readonly PeerFacts[] {
  return viewed.peers().flatMap(({ cluster, ageMs }) => {
    const agreement = viewed.bundleAgreement(cluster);
    return agreement === undefined ? [] : [{ cluster, ...agreement, ageMs }];
  });
}

/** Gateways, if they are told to ask as delegates; ztunnels, where nobody else could give them their identities. */
function delegateFacts({ config, proxyLogs, clients }: SpireViewed): readonly DelegateFacts[] {
  const { spire, gateways, trustDomain, trustedNodeAccounts } = config;
  const found: (readonly [who: string, spiffeId: string])[] = [];
  if (spire.identity === "external")
    for (const account of trustedNodeAccounts) {
      const [namespace = "", serviceAccount = ""] = account.split("/");
      found.push([`ztunnels (${account})`, formatServiceAccountId({ trustDomain, namespace, serviceAccount })]);
    }
  if (typeof gateways.spire === "object" && "adminSocket" in gateways.spire)
    for (const [, gateway] of proxyLogs.gateways.entries())
      found.push([`Gateway ${gateway.namespace}/${gateway.name}`, formatServiceAccountId(gateway)]);
  const proven = clients().filter(({ via }) => via === "certificate");
  return found.map(([who, spiffeId]) => {
    const shown = proven.filter(
      ({ identity }) => identity !== undefined && formatServiceAccountId(identity) === spiffeId,
    );
    return { who, spiffeId, proven: shown.length };
  });
}

function* refusedFacts({ issuances }: SpireViewed): Generator<SpireFacts["refused"][number]> {
  let count = 0;
  for (const [spiffeId, { refused }] of issuances.identities.entries()) {
    if (refused === undefined) continue;
    yield { spiffeId, ...refused };
    if (++count === REFUSED_MAX) return;
  }
}
