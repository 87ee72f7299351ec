/** What a kubelet and its clients say to each other over a WebSocket when a port of a pod is forwarded. */
export const PORT_FORWARD_PROTOCOL = "v4.channel.k8s.io";

/** What one message turns into. */
export type PortMessage =
  | { readonly kind: "data"; readonly bytes: Buffer }
  /** Why the port cannot be had; nothing follows. */
  | { readonly kind: "failure"; readonly why: string }
  | { readonly kind: "nothing" };

const DATA_CHANNEL = 0;
const ERROR_CHANNEL = 1;

/**
 * One forwarded port over one WebSocket: the first byte of each message says the channel, 0 for what the port sends and
 * gets and 1 for why it cannot. Each channel begins with the number of the port, which is of no use for one port.
 */
export class PortChannels {
  readonly #begun = new Set<number>();

  receive(message: Buffer): PortMessage {
    const channel = message[0];
    if (channel !== DATA_CHANNEL && channel !== ERROR_CHANNEL) return { kind: "nothing" };
    const bytes = message.subarray(this.#begun.has(channel) ? 1 : 3);
    this.#begun.add(channel);
    if (bytes.length === 0) return { kind: "nothing" };
    return channel === DATA_CHANNEL ? { kind: "data", bytes } : { kind: "failure", why: bytes.toString("utf8").trim() };
  }

  /** The message that sends `bytes` to the port. */
  send(bytes: Buffer): Buffer {
    return Buffer.concat([Buffer.of(DATA_CHANNEL), bytes]);
  }
}
