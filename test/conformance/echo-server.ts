import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as a service behind a waypoint got it. */
export interface Echoed {
  readonly service: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** A service that answers with what it was asked, and remembers. By the path it waits, fails or hangs up instead. */
export class EchoServer implements Disposable {
  readonly asked: Echoed[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(service: string): Promise<EchoServer> {
    const server = createServer({ requestTimeout: 0 });
    const echo = new EchoServer(server);
    server.on("request", (request, response) => {
      const { method = "", url = "", headers } = request;
      const asked: Echoed = { service, method, url, headers };
      echo.asked.push(asked);
      const times = echo.asked.filter((before) => before.url === url).length;
      if (url.startsWith("/hangs-up-once") && times === 1) request.socket.destroy();
      if (url.startsWith("/never") || request.socket.destroyed) return;
      const body = JSON.stringify(asked);
      response.writeHead(url.startsWith("/fails-once") && times === 1 ? 503 : 200, {
        server: "echo",
        "x-from": service,
        "content-length": Buffer.byteLength(body),
      });
      response.end(body);
    });
    server.on("upgrade", (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return echo;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
