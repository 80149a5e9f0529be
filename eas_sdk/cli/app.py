"""The group of all commands, and what becomes of their errors."""

from __future__ import annotations

import functools
import logging
import traceback
from typing import IO, Any

import click

from eas_sdk._version import __version__
from eas_sdk.cli.bench import bench
from eas_sdk.cli.check import check
from eas_sdk.cli.demo import demo
from eas_sdk.cli.device import device
from eas_sdk.cli.diagnose import diagnose
from eas_sdk.cli.evaluate import evaluate
from eas_sdk.cli.export import export
from eas_sdk.cli.imports import import_
from eas_sdk.cli.info import info
from eas_sdk.cli.lut import lut
from eas_sdk.cli.output import print_error, print_note
from eas_sdk.cli.predict import predict
from eas_sdk.cli.rounds import rounds
from eas_sdk.cli.specialize import specialize
from eas_sdk.cli.study import study
from eas_sdk.cli.train import data, train
from eas_sdk.errors import EasError


class Failure(click.ClickException):
    """An error that is told in one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        print_error(self.message, file)


class Commands(click.Group):
    """Commands in the order of a first encounter, with errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(130) from None
        except BrokenPipeError:
            raise  # click ends quietly: the reader of a pipe has seen enough
        except (EasError, OSError) as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            raise Failure(_explain(error)) from error


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    else:
        text = str(error) or type(error).__name__
    return text


class ToStandardError(logging.Handler):
    """What the package logs, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", message="eas_sdk %(version)s")
@click.option("--debug", is_flag=True, envvar="EAS_DEBUG", help="Show where an error arose.  [env: EAS_DEBUG=1]")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Elastic Architecture Search: one file of weights, a network for any task and budget.

    A task is a group of labels to tell apart, such as "birds". A budget is the most multiply-adds (MAdds)
    that classifying one image may take, such as 40M. Given both, a network is cut out of the weights within
    milliseconds, without any training.

    \b
    Start here:
      eas info                                            tasks, budgets, accuracy
      eas specialize birds 40M                            the network for a task and a budget
      eas predict photo.jpg --task birds --budget 40M     what an image shows
      eas export birds 40M -o birds.tflite                the network as a file for a phone
      eas demo                                            all of it on photos, as a picture
    """
    handler = ToStandardError()
    for logger in map(logging.getLogger, ("eas_sdk", "eas_train")):
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        ctx.call_on_close(functools.partial(logger.removeHandler, handler))


for _command in (
    info,
    specialize,
    predict,
    export,
    demo,
    evaluate,
    lut,
    bench,
    device,
    data,
    import_,
    check,
    train,
    diagnose,
    study,
    rounds,
):
    cli.add_command(_command)
