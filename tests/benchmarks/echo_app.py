"""The HTTP half without a model: what FastAPI, pydantic and uvicorn can carry at most.

Two ceilings: the framework's usual way (body model, response model) and the shortest one (bytes in, bytes out).
"""

import os
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field


class Sequence(BaseModel):
    """A sequence as our own API takes it."""

    event_types: list[str | int] = Field(min_length=1)
    elapsed_minutes: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(min_length=1)


class ScoreRequest(BaseModel):
    """Sequences."""

    sequences: list[Sequence] = Field(min_length=1)


class Score(BaseModel):
    """As large as our own."""

    id: str | None
    risk: float
    auxiliary_risk: float
    events_used: int
    events_truncated: int
    unknown_events: int


class ScoreAnswer(BaseModel):
    """A score a sequence."""

    model: str
    version: int
    scores: list[Score]


app = FastAPI()


@app.post("/v1/score")
async def score(request: ScoreRequest) -> ScoreAnswer:
    """Validate, and answer as much as the real service would."""
    return ScoreAnswer(
        model="echo",
        version=1,
        scores=[
            Score(
                id=None,
                risk=0.25,
                auxiliary_risk=0.25,
                events_used=len(sequence.event_types),
                events_truncated=0,
                unknown_events=0,
            )
            for sequence in request.sequences
        ],
    )


@app.post("/bytes")
async def echo(request: Request) -> Response:
    """Read a body and send it back."""
    return Response(await request.body(), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", log_level="warning", access_log=False
    )
