import { X509Certificate } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { SignerDescription, TrustBundle } from "../ca/signer.ts";
import type { Config } from "../config.ts";
import type { EpochMs } from "../host.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { SpireView } from "../plane/spire.ts";
import type { SpireRegistrationView } from "../plane/spire-registration.ts";
import type { Problem } from "../registry/model/problem.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { BundleFacts, DelegateFacts, PeerFacts, RootFacts, SpireFacts } from "../spire/status/facts.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import type { GatewaysViewed } from "./gateway-view.ts";
import { subjectOf } from "./ca-description.ts";
import type { CertificatesViewed } from "./certificate-view.ts";

/** What of a control plane the status of SPIRE is made of. */
export interface SpireViewed
  extends Pick<GatewaysViewed, "proxyLogs">, Pick<CertificatesViewed, "issuances" | "signer" | "trustBundles"> {
  readonly config: Config;
  /** Undefined if nothing is asked of SPIRE. */
  spire(): SpireView | undefined;
  /** Undefined if it does not matter here whom SPIRE knows. */
  registration(): SpireRegistrationView | undefined;
  clients(): readonly ClientStatus[];
  peers(): readonly PeerView[];
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
    bundles: view === undefined ? [] : bundleFacts(view),
    peers: peerFacts(viewed.peers(), viewed.trustBundles()),
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

/** Our own first, then those that SPIRE is federated with, by name. */
function bundleFacts({ trustDomain, bundles: { own, federated }, said }: SpireView): readonly BundleFacts[] {
  const tainted = new Set(own?.tainted.map(fingerprintOf));
  const facts = (name: string, roots: readonly Uint8Array[]): BundleFacts => ({
    ...{ trustDomain: name, roots: roots.map((root) => rootFacts(root, tainted)) },
    sequence: name === trustDomain ? own?.sequence : undefined,
    ...{ source: said.source(name), saidAt: said.saidAt(name), refused: said.refused.get(name) },
  });
  const known = new Map(federated.map((bundle) => [bundle.trustDomain, bundle.roots]));
  const refused = [...said.refused.keys()].filter((name) => name !== "" && name !== trustDomain);
  const others = [...new Set([...known.keys(), ...refused])].sort();
  return [facts(trustDomain, own?.roots ?? []), ...others.map((name) => facts(name, known.get(name) ?? []))];
}

function rootFacts(root: Uint8Array, tainted: ReadonlySet<string>): RootFacts {
  const { notBefore, notAfter } = readCertificate(root);
  const sha256 = fingerprintOf(root);
  return { sha256, subject: subjectOf(new X509Certificate(root)), notBefore, notAfter, tainted: tainted.has(sha256) };
}

function peerFacts(peers: readonly PeerView[], trusted: readonly TrustBundle[]): readonly PeerFacts[] {
  const held = new Map(trusted.map(({ trustDomain, roots }) => [trustDomain, roots.map(fingerprintOf)]));
  return peers.flatMap(({ cluster, facts, ageMs }) => {
    if (facts === undefined) return [];
    const { trustDomain, roots } = facts;
    const theirs = roots.map(({ sha256 }) => sha256);
    return [{ cluster, trustDomain, theirs, ours: held.get(trustDomain) ?? [], ageMs }];
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
