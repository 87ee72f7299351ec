import { hash } from "node:crypto";
import protobuf from "protobufjs/minimal.js";
import { envoy, type google } from "../../proto/gen/mesh.js";
import { MeshError, messageOf } from "../errors.ts";
import type { DeltaUpdate } from "./delta-client.ts";
import type { ClientNode, DeltaRequest, DeltaResponse, Resource, TypeUrl } from "./resource.ts";

const discovery = envoy.service.discovery.v3;

/** Field 2 of a DeltaDiscoveryResponse, length-delimited. */
const RESOURCES_TAG = (2 << 3) | 2;
/** Field 6 of it. */
const REMOVED_TAG = (6 << 3) | 2;
/** Of a request, names among them: ten times what the largest mesh holds. A name of two bytes takes fifty in memory. */
const REQUEST_FIELDS_MAX = 2_000_000;
/** Of SHA-256: 96 bits, 16 characters; two values of one name collide after some 2^48 changes. */
const VERSION_BYTES = 12;
/** Four of 55 characters, and the commas between them. */
const TRACEPARENTS_CHARACTERS_MAX = 4 * 55 + 3;
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const versionBytes = Buffer.alloc(VERSION_BYTES);

/** Encodes a resource once for all clients; its version is a hash of `body`, unless part of that is no content. */
export function toResource(
  typeUrl: TypeUrl,
  name: string,
  body: Uint8Array,
  version: string = contentVersion(body),
): Resource {
  const writer = protobuf.Writer.create().uint32(RESOURCES_TAG).fork();
  discovery.Resource.encode({ name, version, resource: { type_url: typeUrl, value: body } }, writer);
  return { name, version, record: writer.ldelim().finish() };
}

/** What `toResource` was given. */
export function resourceBody({ record }: Resource): Uint8Array {
  const reader = protobuf.Reader.create(record);
  reader.uint32();
  return discovery.Resource.decode(reader, reader.uint32()).resource?.value ?? new Uint8Array();
}

export function contentVersion(body: Uint8Array): string {
  // By way of a buffer: a slice of a text keeps the whole of it. Not a new one: in a heap of a gigabyte each has the
  // collector at work, and 150,000 hashes took four seconds for that.
  versionBytes.write(hash("sha256", body, "binary"), 0, VERSION_BYTES, "latin1");
  return versionBytes.toString("base64url");
}

/**
 * Decodes a DeltaDiscoveryRequest (contract ztunnel.md 3.8); fields that are not ours are skipped.
 * By hand, because a client that returns names all it holds: 10,000 entries that the generated decoder would first
 * make an object of.
 * @throws MeshError `invalid` for bytes that are no such message, or for more names than any mesh has.
 */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const initialVersions = new Map<string, string>();
  const request = {
    typeUrl: "" as TypeUrl,
    node: undefined as ClientNode | undefined,
    subscribe: [] as string[],
    unsubscribe: [] as string[],
    initialVersions,
    nonce: "",
    rejection: undefined as string | undefined,
  };
  decoding("a DeltaDiscoveryRequest", () => {
    const reader = protobuf.Reader.create(bytes);
    for (let fields = 1; reader.pos < reader.len; fields++) {
      if (fields > REQUEST_FIELDS_MAX) throw new MeshError("invalid", `it has more than ${REQUEST_FIELDS_MAX} names`);
      const tag = reader.uint32();
      if ((tag & 7) !== 2) reader.skipType(tag & 7);
      else if (tag >>> 3 === 1) request.node = toClientNode(discovery.Node.decode(reader, reader.uint32()));
      else if (tag >>> 3 === 2) request.typeUrl = reader.string() as TypeUrl;
      else if (tag >>> 3 === 3) request.subscribe.push(reader.string());
      else if (tag >>> 3 === 4) request.unsubscribe.push(reader.string());
      else if (tag >>> 3 === 5) readVersion(reader, initialVersions);
      else if (tag >>> 3 === 6) request.nonce = reader.string();
      else if (tag >>> 3 === 7) request.rejection = discovery.Status.decode(reader, reader.uint32()).message;
      else reader.skipType(2);
    }
  });
  return request;
}

function readVersion(reader: protobuf.Reader, into: Map<string, string>): void {
  const end = reader.uint32() + reader.pos;
  let name = "";
  let version = "";
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 10) name = reader.string();
    else if (tag === 18) version = reader.string();
    else reader.skipType(tag & 7);
  }
  into.set(name, version);
}

/** What a state-of-the-world client asks: istioctl, and Envoy where it reads secrets so. */
export interface DiscoveryRequest {
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly nonce: string;
  /** Present, even if empty, on a NACK. */
  readonly rejection: string | undefined;
}

/** @throws MeshError `invalid` for bytes that are no such message. */
export function decodeDiscoveryRequest(bytes: Uint8Array): DiscoveryRequest {
  const request = decoding("a DiscoveryRequest", () => discovery.DiscoveryRequest.decode(bytes));
  const { typeUrl, resourceNames: names, responseNonce: nonce, errorDetail } = request;
  return { typeUrl, names, nonce, rejection: errorDetail == null ? undefined : (errorDetail.message ?? "") };
}

function decoding<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (thrown) {
    throw new MeshError("invalid", `the message is not ${what}: ${messageOf(thrown)}`, {}, { cause: thrown });
  }
}

function toClientNode(node: envoy.service.discovery.v3.INode): ClientNode {
  const metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(node.metadata?.fields ?? {}))
    if (typeof value.stringValue === "string") metadata.set(key, value.stringValue);
  return { id: node.id ?? "", metadata };
}

/**
 * A response as the parts to send: its own head, then the records that all clients share. The traces that it goes on with
 * are in the field that xDS has for debugging: no part of any record, and nothing to whoever does not look for them.
 */
export function encodeDeltaResponse(
  response: DeltaResponse,
  controlPlane: string,
  traceparents: readonly string[] = [],
): readonly Uint8Array[] {
  const { typeUrl, nonce, removed, records } = response;
  const head = discovery.DeltaDiscoveryResponse.encode({
    typeUrl,
    nonce,
    removedResources: [...removed],
    controlPlane: { identifier: controlPlane },
    ...(traceparents.length === 0 ? {} : { systemVersionInfo: traceparents.join() }),
  });
  return [head.finish(), ...records];
}

/** One resource of a debug type: its content is not protobuf, or not of the mesh. */
export interface DebugResource {
  readonly name: string;
  /** The type URL of the Any. */
  readonly typeUrl: string;
  readonly body: Uint8Array;
}

export interface DebugAnswer {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly DebugResource[];
}

/** For the delta method. */
export function encodeDeltaDebugAnswer(answer: DebugAnswer, controlPlane: string): Uint8Array {
  const { typeUrl, nonce, resources } = answer;
  return discovery.DeltaDiscoveryResponse.encode({
    typeUrl,
    nonce,
    controlPlane: { identifier: controlPlane },
    resources: resources.map((resource) => ({ name: resource.name, resource: toAny(resource) })),
  }).finish();
}

/** For the state-of-the-world method. */
export function encodeDebugAnswer(answer: DebugAnswer, controlPlane: string): Uint8Array {
  const { typeUrl, nonce, resources } = answer;
  return discovery.DiscoveryResponse.encode({
    typeUrl,
    nonce,
    versionInfo: nonce,
    controlPlane: { identifier: controlPlane },
    resources: resources.map(toAny),
  }).finish();
}

function toAny({ typeUrl, body }: DebugResource): google.protobuf.IAny {
  return { type_url: typeUrl, value: body };
}

/** For clients. */
export function encodeDeltaRequest(request: DeltaRequest): Uint8Array {
  const { node, typeUrl, subscribe, unsubscribe, initialVersions, nonce, rejection } = request;
  return discovery.DeltaDiscoveryRequest.encode({
    typeUrl,
    node: node === undefined ? null : fromClientNode(node),
    resourceNamesSubscribe: [...subscribe],
    resourceNamesUnsubscribe: [...unsubscribe],
    initialResourceVersions: Object.fromEntries(initialVersions),
    responseNonce: nonce,
    errorDetail: rejection === undefined ? null : { message: rejection },
  }).finish();
}

/**
 * @param entriesMax of resources and of names that were removed, together.
 * @throws MeshError `invalid` for bytes that are no such message, or for more entries.
 */
export function decodeDeltaResponse(bytes: Uint8Array, entriesMax = Infinity): DeltaUpdate {
  const response = decoding("a DeltaDiscoveryResponse", () => {
    checkEntries(bytes, entriesMax);
    return discovery.DeltaDiscoveryResponse.decode(bytes);
  });
  return {
    typeUrl: response.typeUrl as TypeUrl,
    nonce: response.nonce,
    resources: response.resources.map(({ name, version, resource }) => ({
      name: name ?? "",
      version: version ?? "",
      body: resource?.value ?? new Uint8Array(),
    })),
    removed: response.removedResources,
    ...(response.systemVersionInfo === "" ? {} : { traceparents: traceparentsIn(response.systemVersionInfo) }),
  };
}

/** What another wrote there is bounded, and counts only if it is one. */
const traceparentsIn = (text: string): readonly string[] =>
  text
    .slice(0, TRACEPARENTS_CHARACTERS_MAX)
    .split(",")
    .filter((each) => TRACEPARENT.test(each));

/** An entry of two bytes becomes an object of a hundred: they are counted before any is made. */
function checkEntries(bytes: Uint8Array, entriesMax: number): void {
  if (entriesMax === Infinity) return;
  const reader = protobuf.Reader.create(bytes);
  let entries = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === RESOURCES_TAG || tag === REMOVED_TAG) entries += 1;
    reader.skipType(tag & 7);
  }
  if (entries > entriesMax) throw new MeshError("invalid", `it has ${entries} entries; ${entriesMax} is the most`);
}

function fromClientNode({ id, metadata }: ClientNode): envoy.service.discovery.v3.INode {
  const fields = Object.fromEntries([...metadata].map(([key, stringValue]) => [key, { stringValue }]));
  return { id, metadata: { fields } };
}
