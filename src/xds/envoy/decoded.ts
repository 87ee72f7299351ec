import { envoy, google, xds } from "../../../proto/gen/envoy.js";
import type { Resource, TypeUrl } from "../resource.ts";
import { resourceBody } from "../wire.ts";

/** What a generated message type can do with bytes. */
interface Decoder {
  decode(bytes: Uint8Array): object;
  toObject(message: object, options: object): Record<string, unknown>;
}

const OPTIONS = { enums: String, longs: String, bytes: String };
const NAMESPACES: Readonly<Record<string, unknown>> = { envoy, google, xds };

/** A resource of Envoy's as JSON, with what is within it; bytes are base64, as is what we have no codec for. */
export function decodedResource(typeUrl: TypeUrl, resource: Resource): unknown {
  return decodedMessage(typeUrl, resourceBody(resource));
}

function decodedMessage(typeUrl: string, bytes: Uint8Array): unknown {
  const type = decoderOf(typeUrl);
  return type === undefined ? undefined : withoutAny(type.toObject(type.decode(bytes), OPTIONS));
}

/** As Envoy writes it: `@type` beside the fields of the message. */
function withoutAny(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutAny);
  if (typeof value !== "object" || value === null) return value;
  const { type_url: typeUrl, value: packed, ...rest } = value as Record<string, unknown>;
  if (typeof typeUrl === "string" && (packed === undefined || typeof packed === "string")) {
    const message = decodedMessage(typeUrl, Buffer.from(packed ?? "", "base64"));
    return { "@type": typeUrl, ...(message === undefined ? { value: packed } : (message as object)) };
  }
  const all = packed === undefined ? rest : { value: packed, ...rest };
  return Object.fromEntries(Object.entries(all).map(([key, inner]) => [key, withoutAny(inner)]));
}

/** By the names in the type, as `type.googleapis.com/envoy.config.cluster.v3.Cluster`. */
function decoderOf(typeUrl: string): Decoder | undefined {
  let found: unknown = NAMESPACES;
  for (const name of typeUrl.slice(typeUrl.lastIndexOf("/") + 1).split("."))
    found =
      found instanceof Object && Object.hasOwn(found, name) ? (found as Record<string, unknown>)[name] : undefined;
  return isDecoder(found) ? found : undefined;
}

const isDecoder = (found: unknown): found is Decoder =>
  typeof found === "function" && "decode" in found && "toObject" in found;
