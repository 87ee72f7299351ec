import Long from "long";
import { causeway } from "../../../proto/gen/mesh.js";
import { clusterId, isClusterId, networkId } from "../../names.ts";
import type { GatewayHost } from "../../registry/model/address.ts";
import type { ClusterFacts, Door } from "../../registry/model/peer.ts";
import { isTrustDomain } from "../../spiffe.ts";
import { ipBytes } from "../../ip-bytes.ts";
import { SGDS_TYPE, type Resource } from "../resource.ts";
import { toResource } from "../wire.ts";
import * as check from "./field-checks.ts";
import { ipText } from "./ip-field.ts";

const wire = causeway.peering;

const SERVICE_TYPES = {
  loadbalancer: wire.Door.ServiceType.LOADBALANCER,
  nodeport: wire.Door.ServiceType.NODEPORT,
} as const;

const LIMITS = { bytes: 512 * 1024, doors: 1024, features: 64, roots: 64 } as const;
const SHA256 = /^[0-9a-f]{64}$/;
const HOSTNAME = /^[a-z0-9]([-a-z0-9_.]{0,251}[a-z0-9])?$/;

/** What a cluster says of itself, under its name. @throws MeshError `invalid`, naming the field. */
export function encodeClusterFacts(facts: ClusterFacts): Resource {
  checkFacts(facts);
  const body = wire.ClusterFacts.encode({
    ...facts,
    features: [...facts.features],
    roots: facts.roots.map(({ sha256, notAfterMs }) => ({ sha256, notAfterMs: Long.fromNumber(notAfterMs) })),
    doors: facts.doors.map(({ serviceType, host, hbonePort, identity }) => ({
      serviceType: SERVICE_TYPES[serviceType],
      host: host.kind === "ip" ? host.ip : host.hostname,
      hbonePort,
      identity,
    })),
  });
  return toResource(SGDS_TYPE, facts.cluster, body.finish());
}

/** As strict as `decodeFederatedService`. @throws MeshError `invalid`, naming the field. */
export function decodeClusterFacts(body: Uint8Array): ClusterFacts {
  const message = check.decodeBounded("ClusterFacts", body, LIMITS.bytes, () => wire.ClusterFacts.decode(body));
  const { trustDomain, segment, domain, aliasesDigest, version, features } = message;
  const facts: ClusterFacts = {
    ...{ trustDomain, segment, domain, aliasesDigest, version, features },
    cluster: clusterId(message.cluster),
    network: networkId(message.network),
    doors: check.checkCount(message.doors, "doors", LIMITS.doors).map((door, at) => toDoor(door, `doors[${at}]`)),
    roots: message.roots.map(({ sha256, notAfterMs }) => ({
      sha256: sha256 ?? "",
      notAfterMs: notAfterMs === null || notAfterMs === undefined ? 0 : Number(notAfterMs),
    })),
  };
  checkFacts(facts);
  return facts;
}

function toDoor({ serviceType, host, hbonePort, identity }: causeway.peering.IDoor, field: string): Door {
  return {
    serviceType: check.nameOf(SERVICE_TYPES, serviceType ?? 0, `${field}.service_type`),
    host: toHost(host ?? ""),
    hbonePort: hbonePort ?? 0,
    identity: identity ?? "",
  };
}

function toHost(host: string): GatewayHost {
  const bytes = ipBytes(host);
  return bytes === undefined ? { kind: "hostname", hostname: host } : { kind: "ip", ip: ipText(bytes)! };
}

function checkFacts(facts: ClusterFacts): void {
  if (!isClusterId(facts.cluster)) throw check.badField("cluster", facts.cluster, "it must be a name of a cluster");
  check.checkSegmentOfKey(facts.network, "network");
  check.checkSegmentOfKey(facts.segment, "segment");
  check.checkText(facts.version, "version");
  if (!isTrustDomain(facts.trustDomain))
    throw check.badField("trust_domain", facts.trustDomain, "it may only hold a-z, 0-9, '.', '-' and '_'");
  if (!HOSTNAME.test(facts.domain)) throw check.badField("domain", facts.domain, "it must be a DNS name");
  if (facts.aliasesDigest !== "" && !SHA256.test(facts.aliasesDigest))
    throw check.badField("aliases_digest", facts.aliasesDigest, "it must be a SHA-256 in hexadecimal, or empty");
  check.checkCount(facts.features, "features", LIMITS.features);
  facts.features.forEach((feature, at) => check.checkText(feature, `features[${at}]`));
  check.checkCount(facts.doors, "doors", LIMITS.doors);
  facts.doors.forEach((door, at) => checkDoor(door, `doors[${at}]`));
  check.checkCount(facts.roots, "roots", LIMITS.roots);
  facts.roots.forEach(({ sha256, notAfterMs }, at) => {
    if (!SHA256.test(sha256)) throw check.badField(`roots[${at}].sha256`, sha256, "it must be 64 hexadecimal digits");
    check.checkWhole(notAfterMs, `roots[${at}].not_after_ms`, 0, Number.MAX_SAFE_INTEGER);
  });
}

function checkDoor({ host, hbonePort, identity }: Door, field: string): void {
  if (host.kind === "hostname" && !HOSTNAME.test(host.hostname))
    throw check.badField(`${field}.host`, host.hostname, "it must be an IP address or a DNS name in small letters");
  check.checkWhole(hbonePort, `${field}.hbone_port`, 1, 65535);
  check.checkSpiffeId(identity, `${field}.identity`);
}
