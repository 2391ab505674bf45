"""Environments in pure JAX, with no dependencies: Gymnasium's classic control, a gridworld and a point maze."""

from operant.envs.toy.acrobot import Acrobot
from operant.envs.toy.block_pushing import BlockPushing
from operant.envs.toy.cartpole import CartPole
from operant.envs.toy.gridworld import GridWorld
from operant.envs.toy.mountain_car import MountainCar
from operant.envs.toy.mountain_car_continuous import MountainCarContinuous
from operant.envs.toy.obstacle_course import ObstacleCourse
from operant.envs.toy.pendulum import Pendulum
from operant.envs.toy.point_maze import PointMaze

__all__ = [
    "GYMNASIUM_IDS",
    "Acrobot",
    "BlockPushing",
    "CartPole",
    "GridWorld",
    "MountainCar",
    "MountainCarContinuous",
    "ObstacleCourse",
    "Pendulum",
    "PointMaze",
]

GYMNASIUM_IDS = {
    "CartPole-v1": CartPole,
    "Pendulum-v1": Pendulum,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Acrobot-v1": Acrobot,
}
"""Gymnasium's id to the class that is step for step equal to it."""
