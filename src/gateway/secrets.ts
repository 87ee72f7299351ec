import { isIP } from "node:net";
import { envoy } from "../../proto/gen/secret.js";
import { SECRET_TYPE } from "../xds/resource.ts";
import { contentVersion } from "../xds/wire.ts";
import { CONTROL_PLANE_ROOT_SECRET, WORKLOAD_SECRET } from "./bootstrap.ts";
import type { Svid } from "./svid.ts";

const { Secret } = envoy.extensions.transport_sockets.tls.v3;
const { SanType } = envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher;

/** One of Envoy's secrets, encoded once. */
export interface EncodedSecret {
  readonly name: string;
  readonly typeUrl: typeof SECRET_TYPE;
  readonly body: Uint8Array;
  readonly version: string;
}

const encoded = (name: string, body: Uint8Array): EncodedSecret => ({
  name,
  typeUrl: SECRET_TYPE,
  body,
  version: contentVersion(body),
});

const bytesOf = (text: string) => ({ inlineBytes: Buffer.from(text) });

/** What Envoy shows to callers, to other proxies and to the control plane. */
export function workloadSecret({ chain, key }: Svid): EncodedSecret {
  const tlsCertificate = { certificateChain: bytesOf(chain), privateKey: bytesOf(key) };
  return encoded(WORKLOAD_SECRET, Secret.encode({ name: WORKLOAD_SECRET, tlsCertificate }).finish());
}

/**
 * What Envoy believes of whoever answers as the control plane: a certificate for its very name, under our roots.
 * @param roots in PEM. @param name a DNS name, or an IP address.
 */
export function controlPlaneRootSecret(roots: string, name: string): EncodedSecret {
  const sanType = isIP(name) === 0 ? SanType.DNS : SanType.IP_ADDRESS;
  const validationContext = {
    trustedCa: bytesOf(roots),
    matchTypedSubjectAltNames: [{ sanType, matcher: { exact: name } }],
  };
  const secret = { name: CONTROL_PLANE_ROOT_SECRET, validationContext };
  return encoded(CONTROL_PLANE_ROOT_SECRET, Secret.encode(secret).finish());
}
