"""`manage.py a2a_grpc`: serve the agents over gRPC."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import conf, database


class Command(BaseCommand):
    """Serve gRPC until the process is asked to end."""

    help = (
        "Serve the agents over gRPC, until SIGTERM or Ctrl-C. Open streams then end, and turns "
        "under way get A2A['SHUTDOWN_SECONDS']. It needs the extra `grpc`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where to listen, and what TLS needs."""
        parser.add_argument("--host", default="127.0.0.1", help="Default: 127.0.0.1.")
        parser.add_argument("--port", type=int, default=50051, help="Default: 50051.")
        parser.add_argument("--tls-certificate", type=Path, help="A chain of certificates, in PEM.")
        parser.add_argument("--tls-key", type=Path, help="Its private key, in PEM.")
        parser.add_argument(
            "--client-ca",
            type=Path,
            help="Certificates of authorities, in PEM: only their clients may connect, by TLS.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve.

        Raises:
            CommandError: A library or a setting is missing, or the port cannot be had.
        """
        if not conf.current().public_url:
            raise CommandError(
                "Set A2A['PUBLIC_URL']: a call of gRPC does not tell where the site is, to which "
                "links to files and the URLs in cards lead."
            )
        try:
            asyncio.run(_serve(options))
        except (ImportError, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            database.close()


async def _serve(options: dict[str, Any]) -> None:
    # Imported here, because its libraries come with the extra `grpc`.
    from a2a_app.bindings.grpc.server import Certificate, GrpcServer

    certificate = None
    chain, key = options["tls_certificate"], options["tls_key"]
    if (chain is None) != (key is None):
        raise CommandError("--tls-certificate and --tls-key need each other.")
    client_ca = options["client_ca"]
    if chain is not None:
        authorities = client_ca.read_bytes() if client_ca is not None else None
        certificate = Certificate(chain.read_bytes(), key.read_bytes(), authorities)
    elif client_ca is not None:
        raise CommandError("--client-ca needs --tls-certificate.")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await GrpcServer(options["host"], options["port"], certificate).serve(stop)
