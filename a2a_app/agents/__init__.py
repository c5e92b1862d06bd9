"""The names that an agent's author needs: `agent`, `Agent`, `Turn`, and types of the protocol."""

from a2a_app.agents.answers import Answer
from a2a_app.agents.base import Agent
from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.content import ArtifactWriter, Content
from a2a_app.agents.durable.approvals import Decision, TurnSuspended
from a2a_app.agents.durable.asking import AskError
from a2a_app.agents.durable.spending import BudgetError
from a2a_app.agents.durable.steps import StepError
from a2a_app.agents.registry import AgentNotFoundError, agent, registry
from a2a_app.agents.tenants import Tenant
from a2a_app.agents.turn import ContextState, Turn
from a2a_app.protocol import (
    AgentCard,
    AgentExtension,
    AgentProvider,
    AgentSkill,
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskState,
)
from a2a_app.store.budgets import Spender
from a2a_app.store.refusals import RepetitionError

__all__ = [
    "Agent",
    "AgentCard",
    "AgentExtension",
    "AgentNotFoundError",
    "AgentProvider",
    "AgentSkill",
    "Answer",
    "Artifact",
    "ArtifactWriter",
    "AskError",
    "BudgetError",
    "Content",
    "ContextState",
    "Decision",
    "Message",
    "Part",
    "RepetitionError",
    "Role",
    "Spender",
    "StepError",
    "Task",
    "TaskState",
    "Tenant",
    "Turn",
    "TurnCaller",
    "TurnSuspended",
    "agent",
    "registry",
]
