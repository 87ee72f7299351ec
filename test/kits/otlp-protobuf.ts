import { Reader } from "protobufjs/minimal.js";

/** A message as it lies on the wire: the values of each field number, in their order. */
type Message = ReadonlyMap<number, readonly Value[]>;
type Value = Uint8Array | number | bigint;

/** Enough of protobuf to read any message without its definition. @throws RangeError for what is cut short. */
function messageOf(bytes: Uint8Array): Message {
  const reader = Reader.create(bytes);
  const fields = new Map<number, Value[]>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const values = fields.get(tag >>> 3) ?? [];
    fields.set(tag >>> 3, values);
    const type = tag & 7;
    if (type === 0) values.push(Number(reader.int64()));
    else if (type === 1) values.push(new DataView(eightBytes(reader)).getBigUint64(0, true));
    else if (type === 2) values.push(reader.bytes());
    else reader.skipType(type);
  }
  return fields;
}

function eightBytes(reader: Reader): ArrayBuffer {
  const bytes = Uint8Array.from({ length: 8 }, (_, at) => reader.buf[reader.pos + at]!);
  reader.skip(8);
  return bytes.buffer;
}

const all = (message: Message, field: number): readonly Value[] => message.get(field) ?? [];
const inner = (message: Message, field: number): readonly Message[] =>
  all(message, field).map((value) => messageOf(value as Uint8Array));
const text = (message: Message, field: number): string =>
  Buffer.from((all(message, field)[0] as Uint8Array | undefined) ?? []).toString();
const hex = (message: Message, field: number): string =>
  Buffer.from((all(message, field)[0] as Uint8Array | undefined) ?? []).toString("hex");
const nanos = (message: Message, field: number): string => `${all(message, field)[0] as bigint}`;

/** As `{key, value: {stringValue}}`; of the kinds of values those that we send. */
function attributesOf(message: Message, field: number) {
  return inner(message, field).map((pair) => {
    const [value] = inner(pair, 2);
    const number = all(value!, 3)[0];
    return {
      key: text(pair, 1),
      value: number === undefined ? { stringValue: text(value!, 1) } : { intValue: Number(number) },
    };
  });
}

/**
 * An ExportTraceServiceRequest of OTLP, in the shape that it has as JSON. The numbers of the fields are those of
 * opentelemetry.proto.collector.trace.v1 and opentelemetry.proto.trace.v1.
 */
export function decodeTraces(bytes: Uint8Array) {
  const resourceSpans = inner(messageOf(bytes), 1).map((ofResource) => ({
    resource: { attributes: inner(ofResource, 1).flatMap((resource) => attributesOf(resource, 1)) },
    scopeSpans: inner(ofResource, 2).map((ofScope) => ({ spans: inner(ofScope, 2).map(spanOf) })),
  }));
  return { resourceSpans };
}

const spanOf = (span: Message) => ({
  traceId: hex(span, 1),
  spanId: hex(span, 2),
  parentSpanId: hex(span, 4),
  name: text(span, 5),
  startTimeUnixNano: nanos(span, 7),
  endTimeUnixNano: nanos(span, 8),
  attributes: attributesOf(span, 9),
  events: inner(span, 11).map((event) => ({ name: text(event, 2), attributes: attributesOf(event, 3) })),
});
