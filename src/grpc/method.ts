import type { Credentials } from "../caller.ts";

/** One request, one answer. */
export interface UnaryMethod {
  readonly kind: "unary";
  /** As `/istio.v1.auth.IstioCertificateService/CreateCertificate`. */
  readonly path: string;
  /** A longer request ends with RESOURCE_EXHAUSTED before it is read. */
  readonly requestBytesMax: number;
  /** Takes and gives encoded messages. What it throws ends the call with the status of the error's code. */
  call(request: Uint8Array, credentials: Credentials, signal: AbortSignal): Promise<Uint8Array>;
}

/** Requests and answers in any order, until either side ends. */
export interface StreamMethod {
  readonly kind: "stream";
  readonly path: string;
  /** A longer message ends the stream with RESOURCE_EXHAUSTED before it is read. */
  readonly requestBytesMax: number;
  /**
   * Called once the headers have arrived. Nothing is read until it resolves: who proves nothing costs one window.
   * What it throws ends the stream with the status of the error's code, as a trailers-only response.
   */
  open(channel: MessageChannel): Promise<MessageReceiver>;
}

/** Our end of one stream. */
export interface MessageChannel {
  readonly credentials: Credentials;
  /** How many bytes its connection has taken, those of other streams too: while this grows, a full socket is at work. */
  readonly bytesWritten: number;
  /** Sends the response headers now, before any message. */
  sendHeaders(): void;
  /**
   * Sends one message, given in parts that are not copied and must not change afterwards.
   * @returns false if the socket is full: send nothing more until `writable` is called.
   */
  send(parts: readonly Uint8Array[]): boolean;
  /** Ends the stream: OK without an error, else with the status of its code and its message. */
  end(error?: Error): void;
}

/** What happens on one stream. None of these may throw for bad input; `message` may, which ends the stream. */
export interface MessageReceiver {
  message(bytes: Uint8Array): void;
  writable(): void;
  /** Nothing follows. */
  closed(): void;
}

export type Method = UnaryMethod | StreamMethod;
