import { envoy, google } from "../../../proto/gen/envoy.js";

/** What a generated message type of Envoy's can do. */
interface MessageType<M> {
  encode(message: M): { finish(): Uint8Array };
  getTypeUrl(prefix?: string): string;
}

/** A message within a message whose type is open, as every extension of Envoy's is. */
export function anyOf<M>(type: MessageType<M>, message: M): google.protobuf.IAny {
  return { type_url: type.getTypeUrl(), value: type.encode(message).finish() };
}

/** A duration. */
export function durationOf(ms: number): google.protobuf.IDuration {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}

export const wrapped = <V>(value: V): { value: V } => ({ value });

export { envoy, google };
