import { hash, X509Certificate } from "node:crypto";
import { readCertificate } from "../ca/certificate-fields.ts";
import type { Clock } from "../host.ts";
import { objectKey } from "../names.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { PeerClients } from "../plane/peer-serving.ts";
import { drainedObject, isOfGateway } from "../registry/drains.ts";
import type { RemoteClusterStatus } from "../registry/kube/remote-cluster.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import type { Seen } from "../topology/certificates.ts";
import type { DrainInputs, Reader, TopologyInputs } from "../topology/inputs.ts";
import { meshTopology } from "../topology/mesh-topology.ts";
import type { Topology } from "../topology/topology.ts";
import { VERSION } from "../version.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import { subjectOf } from "./ca-description.ts";
import type { CertificatesViewed } from "./certificate-view.ts";
import type { GatewaysViewed } from "./gateway-view.ts";

/** What of a control plane the topology is made of. */
export interface TopologyViewed
  extends Pick<CertificatesViewed, "issuances" | "signer" | "trustBundles">, Pick<GatewaysViewed, "proxyLogs"> {
  readonly clock: Clock;
  readonly registry: Registry;
  readonly controlPlane: string;
  clients(): readonly ClientStatus[];
  clusters(): readonly RemoteClusterStatus[];
  peers(): readonly PeerView[];
  peerClients(): PeerClients;
  problems(): readonly Problem[];
}

/** With a digest of all but the time, by which who has it need not be told again. */
export type DigestedTopology = Topology & { readonly digest: string };
export type Unchanged = Pick<DigestedTopology, "schema" | "at" | "digest"> & { readonly unchanged: true };

const DIGEST_DIGITS = 32;

/**
 * The page: `?filter=shop` for services and problems that hold that, or services of the cluster of that name; with
 * `&unless=<digest>` only the time if nothing else has changed.
 */
export function topologyView(viewed: TopologyViewed, query: URLSearchParams): DigestedTopology | Unchanged {
  const filter = (query.get("filter") ?? "").trim().toLowerCase();
  const topology = meshTopology(inputsOf(viewed), { filter });
  const { schema, at, ...content } = topology;
  const digest = hash("sha256", JSON.stringify(content), "hex").slice(0, DIGEST_DIGITS);
  if (query.get("unless") === digest) return { schema, at, digest, unchanged: true };
  return { ...topology, digest };
}

function inputsOf(viewed: TopologyViewed): TopologyInputs {
  const { registry, clock, controlPlane } = viewed;
  const { served, refused } = viewed.peerClients();
  const { localCluster } = registry.globalCandidates.inputs.options;
  const peers = viewed.peers();
  const hosts = registry.globalCandidates.hosts().map((name) => name.slice(name.indexOf("/") + 1));
  return {
    ...{ now: clock.now(), controlPlane, version: VERSION, localCluster, peers, refused, hosts },
    ownFacts: registry.exports.facts.get(localCluster),
    clusters: viewed.clusters(),
    peerGateways: valuesOf(registry.peerGateways),
    readers: readersOf(served, viewed.clients()),
    exported: valuesOf(registry.exports.services),
    imported: valuesOf(registry.peers.federated),
    ...drainsOf(registry),
    certificates: [...authorityCertificates(viewed), ...peerRoots(peers), ...gatewayCertificates(viewed)],
    problems: viewed.problems(),
  };
}

const valuesOf = <V>(collection: { entries(): Iterable<readonly [string, V]> }): readonly V[] =>
  Array.from(collection.entries(), ([, value]) => value);

/** A Gateway that is refused leads nowhere, so nothing is drained by it. */
function drainsOf({ drains: { states, wanted, spared }, peerGateways, globalCandidates }: Registry): DrainInputs {
  const { localCluster } = globalCandidates.inputs.options;
  const drains = [...states.entries()].flatMap(([key, { state, untilMs }]) => {
    const id = wanted.get(key)?.id;
    if (id === undefined) return [];
    const object = drainedObject(key, localCluster);
    if (!isOfGateway(key))
      return [{ object, cluster: localCluster, service: `${id.namespace}/${id.name}`, state, untilMs }];
    const gateway = peerGateways.get(objectKey(id.cluster, id.namespace, id.name));
    if (gateway?.cluster === undefined || gateway.refused !== undefined) return [];
    return [{ object, cluster: gateway.cluster, service: "", state, untilMs }];
  });
  return { drains, isSpared: (record) => spared.get(record) !== undefined };
}

/** Streams of peers, with what each has not acknowledged yet. */
function readersOf(served: PeerClients["served"], clients: readonly ClientStatus[]): readonly Reader[] {
  const byClient = new Map<string, ClientStatus[]>();
  for (const client of clients) {
    const key = `${client.cluster} ${client.node?.id.split("~")[2] ?? ""}`;
    const known = byClient.get(key);
    if (known === undefined) byClient.set(key, [client]);
    else known.push(client);
  }
  return served.map((peer) => {
    const streams = byClient.get(`${peer.cluster} ${peer.node}`) ?? [];
    const subscriptions = streams.flatMap(({ subscriptions }) => subscriptions);
    const unacked = subscriptions.filter(({ sentNonce, ackedNonce }) => sentNonce !== "" && sentNonce !== ackedNonce);
    return {
      ...peer,
      backlog: subscriptions.reduce((sum, { backlog }) => sum + backlog, 0),
      unackedSince: unacked.length === 0 ? undefined : Math.min(...unacked.map(({ sentAt }) => sentAt)),
    };
  });
}

function authorityCertificates({ registry, signer, trustBundles }: TopologyViewed): readonly Seen[] {
  const { localCluster } = registry.globalCandidates.inputs.options;
  const chain = signer()?.chain ?? [];
  return [
    ...chain.map((der) => seenOf("authority", localCluster, der)),
    ...trustBundles().flatMap(({ trustDomain, roots }) => roots.map((der) => seenOf("root", trustDomain, der))),
  ];
}

/** The page is asked for every few seconds, and there may be hundreds of trust domains. */
const read = new WeakMap<Uint8Array, Omit<Seen, "use" | "of">>();

function seenOf(use: Seen["use"], of: string, der: Uint8Array): Seen {
  const known = read.get(der) ?? fieldsOf(der);
  read.set(der, known);
  return { use, of, ...known };
}

function fieldsOf(der: Uint8Array): Omit<Seen, "use" | "of"> {
  const { notBefore, notAfter } = readCertificate(der);
  return { subject: subjectOf(new X509Certificate(der)), sha256: hash("sha256", der, "hex"), notBefore, notAfter };
}

/** As each peer says that it trusts them for its own trust domain. */
const peerRoots = (peers: readonly PeerView[]): readonly Seen[] =>
  peers.flatMap(({ cluster, facts }) =>
    (facts?.roots ?? []).map(({ sha256, notAfterMs }) => ({
      ...{ use: "peer root", of: cluster, subject: "", sha256, notBefore: undefined, notAfter: notAfterMs },
    })),
  );

/** The last certificate that the proxies of each Gateway here got. */
function gatewayCertificates({ proxyLogs, issuances }: TopologyViewed): readonly Seen[] {
  const gateways = new Map(
    valuesOf(proxyLogs.gateways).map(({ trustDomain, namespace, name, serviceAccount }) => [
      `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
      `Gateway ${namespace}/${name}`,
    ]),
  );
  if (gateways.size === 0) return [];
  return [...issuances.identities.entries()].flatMap(([identity, { issued }]) => {
    const gateway = gateways.get(identity);
    if (gateway === undefined || issued === undefined) return [];
    return [
      { use: "gateway", of: gateway, subject: identity, sha256: "", notBefore: issued.at, notAfter: issued.until },
    ] as const;
  });
}
