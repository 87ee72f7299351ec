import { causeway, istio } from "../../../proto/gen/mesh.js";
import { MeshError, messageOf } from "../../errors.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, FSDS_TYPE, SGDS_TYPE, type TypeUrl } from "../resource.ts";
import { ipText } from "./ip-field.ts";

const { peering } = causeway;
const PLAIN = { enums: String, longs: Number } as const;

/**
 * A resource as a person reads it: enum names and IP texts instead of numbers and bytes.
 * @throws MeshError `invalid` if the body is no message of the type, or the type is not one of the mesh.
 */
export function toReadable(typeUrl: TypeUrl, body: Uint8Array): unknown {
  try {
    if (typeUrl === ADDRESS_TYPE) {
      const address = istio.workload.Address.toObject(istio.workload.Address.decode(body), { enums: String });
      return withTexts(address["workload"] ?? address["service"] ?? {});
    }
    if (typeUrl === AUTHORIZATION_TYPE) {
      const policy = istio.security.Authorization.decode(body);
      return withTexts(istio.security.Authorization.toObject(policy, { enums: String }));
    }
    if (typeUrl === FSDS_TYPE) return peering.FederatedService.toObject(peering.FederatedService.decode(body), PLAIN);
    if (typeUrl === SGDS_TYPE) return peering.ClusterFacts.toObject(peering.ClusterFacts.decode(body), PLAIN);
  } catch (thrown) {
    throw new MeshError("invalid", `a resource of ${typeUrl} cannot be decoded: ${messageOf(thrown)}`);
  }
  throw new MeshError("invalid", `${typeUrl} is not a type of the mesh`);
}

function withTexts(value: unknown): unknown {
  // Bytes that are no address stay visible as what they are.
  if (value instanceof Uint8Array) return ipText(value) ?? `0x${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(withTexts);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withTexts(inner)]));
}
