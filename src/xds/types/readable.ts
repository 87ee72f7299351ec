import { istio } from "../../../proto/gen/mesh.js";
import { MeshError, messageOf } from "../../errors.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type TypeUrl } from "../resource.ts";

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
  } catch (thrown) {
    throw new MeshError("invalid", `a resource of ${typeUrl} cannot be decoded: ${messageOf(thrown)}`);
  }
  throw new MeshError("invalid", `${typeUrl} is not a type of the mesh`);
}

function withTexts(value: unknown): unknown {
  if (value instanceof Uint8Array) return ipText(value);
  if (Array.isArray(value)) return value.map(withTexts);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withTexts(inner)]));
}

/** Canonical text; bytes that are no address stay visible as what they are. */
function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return `0x${Buffer.from(bytes).toString("hex")}`;
  const groups = Buffer.from(bytes).toString("hex").match(/.{4}/g)!;
  // A URL's host is written in RFC 5952 form.
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
