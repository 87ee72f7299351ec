import type { PeerGateway, PeerGatewayReason, PeerReason } from "../registry/model/peer.ts";
import type { ExplainFacts } from "./explanation.ts";
import { annotated, deleted, edited, labelled } from "./mending.ts";

/** Where a link is mended. */
export interface Remedy {
  readonly field: string;
  readonly fix: string;
}

/** What to do about a Gateway that is no link; `cluster` is the one that has it. */
export function remedyOfGateway(
  { namespace, name, refused }: Pick<PeerGateway, "namespace" | "name" | "refused">,
  cluster: string,
  facts: ExplainFacts,
): Remedy {
  const gateway = { cluster, kind: "Gateway", namespace, name };
  const edit = edited(gateway, facts);
  const label = (key: string, value: string): Remedy => ({
    field: `metadata.labels[${key}]`,
    fix: labelled(gateway, key, value, facts),
  });
  const remedies: Readonly<Record<PeerGatewayReason, Remedy>> = {
    InvalidListener: {
      field: "spec.listeners",
      fix: `${edit}: keep "- {name: xds, port: 15012, protocol: TLS, tls: {mode: Passthrough}}"`,
    },
    MissingNetwork: label("topology.istio.io/network", "<network of the peer>"),
    MissingCluster: label("topology.istio.io/cluster", "<CLUSTER_ID of the peer>"),
    SelfPeer: label("topology.istio.io/cluster", "<CLUSTER_ID of the peer>"),
    MissingAddress: {
      field: "spec.addresses",
      fix: `${edit}: "addresses: [{type: IPAddress, value: <the peer's east-west gateway>}]"`,
    },
    Conflicted: { field: "", fix: deleted(gateway, facts) },
  };
  return remedies[refused?.reason ?? "InvalidListener"];
}

/** What to do about a link that is not up, at the end of the consumer. */
export function remedyOfLink(
  reason: PeerReason | undefined,
  { namespace, name, cluster: leadsTo, xdsPort }: PeerGateway,
  cluster: string,
  facts: ExplainFacts,
): Remedy {
  const gateway = { cluster, kind: "Gateway", namespace, name };
  const peer: string = leadsTo ?? "";
  const address = {
    field: "spec.addresses",
    fix:
      `have cluster ${peer}'s east-west gateway run and answer on port ${xdsPort} from here, or correct the address: ` +
      edited(gateway, facts),
  };
  const trustDomain = {
    field: "metadata.annotations[gateway.istio.io/trust-domain]",
    fix: annotated(gateway, "gateway.istio.io/trust-domain", `<trust domain of ${peer}>`, facts),
  };
  switch (reason) {
    case "AddressUnresolved":
      return {
        field: "spec.addresses",
        fix: `correct the host name, or wait for its load balancer: ${edited(gateway, facts)}`,
      };
    case "TLSUnknownAuthority":
      return {
        field: "",
        fix: `give both clusters authorities under one root (causeway ca verify --dir <cacerts> at each), or name ${peer}'s root in caCertificates of the mesh config`,
      };
    case "TLSBadCertificate":
      return {
        field: "spec.listeners",
        fix: `have port ${xdsPort} lead to 15012 of cluster ${peer}'s control plane; look at its certificate with causeway ca status there`,
      };
    case "TrustDomainUnknown":
    case "IdentityMismatch":
      return trustDomain;
    case "PermissionDenied":
      return {
        field: "",
        fix: `at cluster ${peer}: grant it (PeerGrant with spec.cluster: ${cluster}), or give it a Gateway that leads here if it serves --serve-peers listed`,
      };
    case "VersionSkew":
      return { field: "", fix: `run the same release of Causeway in cluster ${peer} as here` };
    case "SyncPending":
      return { field: "", fix: `wait; if it stays so, look at the readiness of cluster ${peer}'s control plane` };
    case "ResourceRejected":
      return { field: "", fix: "curl -s <admin port>/debug/peerz: denials names each record that was not taken" };
    case "DialTimeout":
    case "ConnectionRefused":
    case "Stale":
    case "Disconnected":
    case undefined:
      return address;
  }
}
